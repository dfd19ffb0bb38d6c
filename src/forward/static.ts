import { realpath, stat } from 'node:fs/promises';
import { STATUS_CODES } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import path from 'node:path';
import send from 'send';
import { answerPlainly, writeText } from './plain-answer.ts';

/** What a route to files needs to know. */
export interface StaticRouteOptions {
  readonly directory: string;
  /** Path that the directory stands for, with or without a trailing slash. */
  readonly prefix: string;
}

const INDEX = 'index.html';

/**
 * The files of a directory: types by extension, `index.html` for directories, ranges, and validators
 * that a browser asks with each time (`Cache-Control: no-cache`).
 *
 * There is no listing; names that begin with a dot do not exist. A symbolic link is followed as long
 * as it stays below the directory (which may itself be one, and be pointed elsewhere at run time);
 * what leads out of it does not exist, and neither does anything that is no file, such as a FIFO.
 */
export class StaticRoute {
  readonly #directory: string;
  readonly #prefix: string;

  constructor(options: StaticRouteOptions) {
    this.#directory = path.resolve(options.directory);
    this.#prefix = options.prefix.replace(/\/+$/, '');
  }

  /** Answers a request whose path the prefix stands in front of; anything but GET and HEAD with 405. */
  serve(req: IncomingMessage, res: ServerResponse): void {
    if (req.method !== 'GET' && req.method !== 'HEAD') {
      res.setHeader('Allow', 'GET, HEAD');
      answerPlainly(res, 'METHOD_NOT_ALLOWED');
      return;
    }
    const [requestPath = '/', ...query] = (req.url ?? '/').split('?');
    const search = query.length === 0 ? '' : `?${query.join('?')}`;
    const below = requestPath.slice(this.#prefix.length);
    if (!requestPath.startsWith(this.#prefix) || (below !== '' && !below.startsWith('/'))) {
      answerPlainly(res, 'NOT_FOUND');
    } else if (below === '') {
      redirect(res, requestPath, search);
    } else {
      void this.#send(req, res, { requestPath, search, below });
    }
  }

  async #send(
    req: IncomingMessage,
    res: ServerResponse,
    asked: { requestPath: string; search: string; below: string },
  ): Promise<void> {
    if (await this.#isForbidden(asked.below)) {
      answerPlainly(res, 'NOT_FOUND');
      return;
    }
    send(req, asked.below, {
      root: this.#directory,
      index: INDEX,
      dotfiles: 'ignore',
      cacheControl: false,
    })
      .on('headers', () => {
        res.setHeader('Cache-Control', 'no-cache');
        res.setHeader('X-Content-Type-Options', 'nosniff');
      })
      .on('directory', () => {
        redirect(res, asked.requestPath, asked.search);
      })
      .on('error', (error: SendError) => {
        answerError(res, error);
      })
      .pipe(res);
  }

  /** Whether a path leads to something that is there and must not be served. */
  async #isForbidden(below: string): Promise<boolean> {
    try {
      const name = decodeURIComponent(below) + (below.endsWith('/') ? INDEX : '');
      const [root, file] = await Promise.all([
        realpath(this.#directory),
        realpath(path.join(this.#directory, name)),
      ]);
      if (file !== root && !file.startsWith(root.endsWith(path.sep) ? root : root + path.sep)) {
        return true;
      }
      const found = await stat(file);
      return !found.isFile() && !found.isDirectory();
    } catch {
      // Not there, not readable or not decodable: `send` finds the same, and answers it.
      return false;
    }
  }
}

/** What `send` reports: an error with a status, a system error underneath, headers for a 416. */
interface SendError extends Error {
  readonly status?: number;
  readonly code?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** `Location` stays on this host: `//other` or `/\other` in front would be another one. */
function redirect(res: ServerResponse, requestPath: string, search: string): void {
  res.setHeader('Location', `/${requestPath.replace(/^[/\\]+/, '')}/${search}`);
  writeText(res, 301, 'this is a directory');
}

function answerError(res: ServerResponse, error: SendError): void {
  if (res.headersSent) {
    res.destroy();
    return;
  }
  for (const name of res.getHeaderNames()) res.removeHeader(name);
  const status = statusOf(error);
  if (status === 404) {
    answerPlainly(res, 'NOT_FOUND');
    return;
  }
  for (const [name, value] of Object.entries(error.headers ?? {})) res.setHeader(name, value);
  writeText(res, status, (STATUS_CODES[status] ?? 'error').toLowerCase());
}

/** Whatever cannot be reached does not exist; what remains are faults of the request or of ours. */
function statusOf(error: SendError): number {
  const unreachable = ['EACCES', 'EPERM', 'ELOOP'].includes(error.code ?? '');
  return unreachable || error.status === 403 ? 404 : (error.status ?? 500);
}
