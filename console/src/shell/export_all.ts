// All conversations as one file of JSON, fetched one after the other.
import { conversationsApi } from '../api/conversations.ts';
import { saveFile } from '../ui/save_file.ts';

export async function exportAll(tell: (done: number) => void): Promise<void> {
  const parts: BlobPart[] = ['{"format":"tatara-conversations-1","conversations":['];
  let done = 0;
  for (let after: string | undefined; ; ) {
    const page = await conversationsApi.list(after);
    for (const summary of page.data) {
      parts.push(done > 0 ? ',\n' : '\n', JSON.stringify(await conversationsApi.get(summary.id)));
      tell(++done);
    }
    after = page.data.at(-1)?.id;
    if (!page.has_more || after === undefined) break;
  }
  parts.push('\n]}\n');
  saveFile('tatara-conversations.json', new Blob(parts, { type: 'application/json' }));
}
