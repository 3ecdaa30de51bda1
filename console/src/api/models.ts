import { sendForJson } from './http.ts';

export interface Model {
  id: string;
  max_model_len: number;
  tatara: { kind: 'generates' | 'embeds' | 'ranks'; architecture: string; sha256: string; n_parameters: number };
}

export async function listModels(): Promise<Model[]> {
  return (await sendForJson<{ data: Model[] }>('/v1/models')).data;
}
