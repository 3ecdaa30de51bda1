// Which page is shown, from the address behind '#': "#/chat/conv_12" is the page "chat" with the rest "conv_12".
// The server needs to know none of these.
import { signal } from '@preact/signals';

export interface Place {
  page: string;
  rest: string;
}

export function placeOf(hash: string): Place {
  const [page = '', ...rest] = hash.replace(/^#?\/?/, '').split('/');
  return { page: page || 'chat', rest: decode(rest.join('/')) };
}

export function hashOf(page: string, rest = ''): string {
  return rest ? `#/${page}/${encodeURIComponent(rest)}` : `#/${page}`;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return '';
  }
}

export const place = signal<Place>({ page: 'chat', rest: '' });

export function go(page: string, rest = '', options: { replace?: boolean } = {}): void {
  const hash = hashOf(page, rest);
  if (options.replace) {
    history.replaceState(null, '', hash);
    place.value = placeOf(hash);
  } else if (location.hash === hash) {
    place.value = placeOf(hash);
  } else {
    location.hash = hash;
  }
}

export function watchAddress(): void {
  const read = () => {
    place.value = placeOf(location.hash);
  };
  addEventListener('hashchange', read);
  read();
}
