import { computed, signal } from '@preact/signals';
import { listModels, type Model } from '../api/models.ts';
import { chosenModel } from './preferences.ts';

export const models = signal<Model[]>([]);
const known = signal(false); // the server has told

// The models that one can talk to; the chosen one where it is still there, else the first.
export const chatModels = computed(() => models.value.filter((model) => model.tatara.kind === 'generates'));
export const model = computed(
  () => chatModels.value.find((each) => each.id === chosenModel.value)?.id ?? chatModels.value[0]?.id ?? '',
);

export const noModel = computed(() => known.value && model.value === '');

export async function loadModels(): Promise<void> {
  models.value = await listModels();
  known.value = true;
}
