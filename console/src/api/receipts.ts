// The signed receipt of an answer, and what of it a person wants to see.
import { send } from './http.ts';

export interface ReceiptView {
  text: string; // as signed
  signedBy: string;
  fields: { name: string; sha256: string; value: unknown; redacted: boolean }[];
}

interface Envelope {
  payload: string;
  signatures: { keyid: string }[];
}
interface Payload {
  fields: Record<string, { sha256: string; value?: unknown }>;
}

export function readReceipt(text: string): ReceiptView {
  const envelope = JSON.parse(text) as Envelope;
  const bytes = Uint8Array.from(atob(envelope.payload), (c) => c.charCodeAt(0));
  const payload = JSON.parse(new TextDecoder().decode(bytes)) as Payload;
  return {
    text,
    signedBy: envelope.signatures[0]?.keyid ?? '',
    fields: Object.entries(payload.fields).map(([name, field]) => ({
      name,
      sha256: field.sha256,
      value: field.value,
      redacted: !('value' in field),
    })),
  };
}

export const receiptAddress = (id: string) => `/v1/receipts/${encodeURIComponent(id)}`;

export async function fetchReceipt(id: string): Promise<ReceiptView> {
  return readReceipt(await (await send(receiptAddress(id))).text());
}
