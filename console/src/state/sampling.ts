// How answers are drawn. An absent value leaves it to the server.

export interface Sampling {
  temperature?: number;
  top_p?: number;
  top_k?: number;
  min_p?: number;
  repetition_penalty?: number;
  presence_penalty?: number;
  frequency_penalty?: number;
  max_tokens?: number;
  seed?: number;
}

export interface SamplingField {
  name: keyof Sampling;
  least: number;
  most: number;
  step: number;
  whole?: boolean;
}

// Ranges as the server checks them.
export const samplingFields: readonly SamplingField[] = [
  { name: 'temperature', least: 0, most: 2, step: 0.05 },
  { name: 'top_p', least: 0.01, most: 1, step: 0.01 },
  { name: 'top_k', least: 0, most: 1000, step: 1, whole: true },
  { name: 'min_p', least: 0, most: 1, step: 0.01 },
  { name: 'repetition_penalty', least: 0.5, most: 2, step: 0.01 },
  { name: 'presence_penalty', least: -2, most: 2, step: 0.05 },
  { name: 'frequency_penalty', least: -2, most: 2, step: 0.05 },
  { name: 'max_tokens', least: 1, most: 1_000_000, step: 1, whole: true },
  { name: 'seed', least: 0, most: Number.MAX_SAFE_INTEGER, step: 1, whole: true },
];

// What was typed as a value of the field; 'wrong' where it is none.
export function readField(field: SamplingField, typed: string): number | undefined | 'wrong' {
  const text = typed.normalize('NFKC').trim();
  if (text === '') return undefined;
  const value = Number(text);
  if (!Number.isFinite(value) || value < field.least || value > field.most) return 'wrong';
  if (field.whole && !Number.isInteger(value)) return 'wrong';
  return value;
}
