// Requests to this server. The session's cookie goes along by itself; 401 asks for signing in.

export class ApiError extends Error {
  readonly status: number; // 0: the server could not be reached
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

let onSignInWanted = (): void => {};
export function whenSignInIsWanted(act: () => void): void {
  onSignInWanted = act;
}

export interface RequestOptions {
  method?: 'GET' | 'POST' | 'DELETE';
  body?: unknown;
  signal?: AbortSignal;
  keepalive?: boolean; // goes on when the page is closed
}

// The answer, where its status is good.
export async function send(path: string, options: RequestOptions = {}): Promise<Response> {
  const init: RequestInit = {
    method: options.method ?? 'GET',
    credentials: 'same-origin',
    cache: 'no-store',
  };
  if (options.signal) init.signal = options.signal;
  if (options.keepalive) init.keepalive = true;
  if (options.body !== undefined) {
    init.headers = { 'Content-Type': 'application/json' };
    init.body = JSON.stringify(options.body);
  }
  let response: Response;
  try {
    response = await fetch(path, init);
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    throw new ApiError(0, String(error));
  }
  if (response.ok) return response;
  if (response.status === 401) onSignInWanted();
  throw new ApiError(response.status, await messageOf(response));
}

export async function sendForJson<T>(path: string, options: RequestOptions = {}): Promise<T> {
  return (await (await send(path, options)).json()) as T;
}

async function messageOf(response: Response): Promise<string> {
  try {
    const body = (await response.json()) as { error?: { message?: unknown } };
    if (typeof body.error?.message === 'string') return body.error.message;
  } catch {
    // no JSON: the status says what there is to say
  }
  return `HTTP ${response.status}`;
}
