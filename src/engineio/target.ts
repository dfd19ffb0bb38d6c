import { isSid } from './sid.ts';
import type { EngineQuery, Transport } from './types.ts';

/** What a request target means to the router. */
export type TargetReading =
  /** Not under an Engine.IO path. */
  | { kind: 'foreign' }
  /** Under an Engine.IO path, but servers would disagree on what the query says. */
  | { kind: 'malformed'; reason: string }
  /** `path` is the configured path, not the request's. */
  | { kind: 'engine'; path: string; query: EngineQuery };

type Draft = { -readonly [Name in keyof EngineQuery]: EngineQuery[Name] };

/** Bits of the parameters that the router reads; the first three may come only once. */
const SID = 1;
const TRANSPORT = 2;
const EIO = 4;
const ROUTING = SID | TRANSPORT | EIO;
const JSONP = 8;
const BASE64 = 16;
/** A name that decodes to one of the first three, but is not spelled like it. */
const DISGUISED = 32;

const AMPERSAND = 0x26;
const SEMICOLON = 0x3b;
const EQUALS = 0x3d;
const PERCENT = 0x25;
const PLUS = 0x2b;
const BRACKET = 0x5b;
const SPACE = 0x20;

/** Longest target, in characters, that a sid may keep in memory: a slice holds on to its whole parent. */
const MAX_SHARED_TARGET = 512;

const FOREIGN: TargetReading = { kind: 'foreign' };
const NO_QUERY: EngineQuery = {
  transport: undefined,
  eio: undefined,
  sid: undefined,
  jsonp: undefined,
  base64: false,
};

/**
 * Reads a request target (RFC 9112 section 3.2.1, origin form) against the Engine.IO paths.
 * A target belongs to a path that it equals, with or without the trailing slash, or that is a
 * prefix of it (Engine.IO's own server matches so); of several the longest wins.
 *
 * Servers read a query differently: of two `sid` Node 4 takes the last, Python and netty the first;
 * netty also splits at `;`; rust does not percent-decode. A target that two of them could route to
 * different sessions is malformed. Never throws; time is linear in the target.
 *
 * @param paths - normalised, with leading and trailing slash
 */
export function readTarget(target: string, paths: readonly string[]): TargetReading {
  const question = target.indexOf('?');
  const path = owningPath(target, question === -1 ? target.length : question, paths);
  if (path === undefined) return FOREIGN;
  if (target.includes('#')) return { kind: 'malformed', reason: 'fragment in the request target' };
  if (question === -1) return { kind: 'engine', path, query: NO_QUERY };
  const query = readQuery(target, question + 1);
  if (typeof query === 'string') return { kind: 'malformed', reason: query };
  return { kind: 'engine', path, query };
}

function owningPath(target: string, end: number, paths: readonly string[]): string | undefined {
  let longest: string | undefined;
  for (const path of paths) {
    if (longest !== undefined && longest.length >= path.length) continue;
    const isBare = end > 0 && end === path.length - 1 && path.startsWith(target.slice(0, end));
    if (isBare || target.startsWith(path)) longest = path;
  }
  return longest;
}

/** The query from an index on, or what is wrong with it. */
function readQuery(target: string, from: number): EngineQuery | string {
  const query: Draft = { ...NO_QUERY };
  let seen = 0;
  let afterSemicolon = false;
  let start = from;
  while (start < target.length) {
    const nameEnd = scan(target, start, EQUALS);
    const end = scan(target, nameEnd, AMPERSAND);
    const parameter = parameterOf(target, start, nameEnd);
    const beforeSemicolon = target.charCodeAt(end) === SEMICOLON;
    if (parameter === DISGUISED) return 'parameter name in disguise';
    if ((parameter & ROUTING) !== 0) {
      if ((seen & parameter) !== 0) return 'parameter given twice';
      if (afterSemicolon || beforeSemicolon) return 'semicolon beside a parameter';
    }
    if (parameter !== 0) {
      const fault = take(query, parameter, target.slice(Math.min(nameEnd + 1, end), end));
      if (fault !== undefined) return fault;
    }
    seen |= parameter;
    afterSemicolon = beforeSemicolon;
    start = end + 1;
  }
  if (query.sid !== undefined && target.length > MAX_SHARED_TARGET) {
    query.sid = Buffer.from(query.sid, 'latin1').toString('latin1');
  }
  return query;
}

/** Index of the next `&`, `;` or `stop`, or the target's end. */
function scan(target: string, from: number, stop: number): number {
  let at = from;
  for (; at < target.length; at++) {
    const code = target.charCodeAt(at);
    if (code === AMPERSAND || code === SEMICOLON || code === stop) break;
  }
  return at;
}

function parameterOf(target: string, start: number, end: number): number {
  switch (end - start) {
    case 1:
      return target.startsWith('j', start) ? JSONP : 0;
    case 3:
      if (target.startsWith('sid', start)) return SID;
      if (target.startsWith('EIO', start)) return EIO;
      return target.startsWith('b64', start) ? BASE64 : disguise(target, start, end);
    case 9:
      return target.startsWith('transport', start) ? TRANSPORT : disguise(target, start, end);
    default:
      return disguise(target, start, end);
  }
}

function disguise(target: string, start: number, end: number): number {
  for (let at = start; at < end; at++) {
    const code = target.charCodeAt(at);
    if (code !== PERCENT && code !== PLUS && code !== BRACKET) continue;
    const name = decodedName(target, start, end);
    return name === 'sid' || name === 'transport' || name === 'EIO' ? DISGUISED : 0;
  }
  return 0;
}

/**
 * The beginning of a name, as a server that decodes it may see it. PHP also drops blanks before a
 * name, and takes `sid[]` and `sid\0` for `sid`.
 */
function decodedName(target: string, start: number, end: number): string {
  let name = '';
  for (let at = start; at < end && name.length <= 'transport'.length; at++) {
    const hex = target.slice(at + 1, at + 3);
    const isEscape = target.charCodeAt(at) === PERCENT && /^[0-9a-f]{2}$/i.test(hex);
    const code = isEscape ? parseInt(hex, 16) : target.charCodeAt(at);
    if (isEscape) at += 2;
    const isBlank = code === PLUS ? !isEscape : code <= SPACE;
    if (isBlank && name === '') continue;
    if (code === BRACKET || code === 0) break;
    name += String.fromCharCode(code);
  }
  return name;
}

/** Puts a value into the query; returns what is wrong with it, if anything. */
function take(query: Draft, parameter: number, value: string): string | undefined {
  if ((parameter & ROUTING) !== 0 && value !== '' && !isSid(value)) {
    return 'parameter value is encoded, too long or has odd characters';
  }
  switch (parameter) {
    case SID:
      query.sid = value === '' ? undefined : value;
      return undefined;
    case TRANSPORT:
      query.transport = isTransport(value) ? value : undefined;
      return undefined;
    case EIO:
      query.eio = value === '' ? undefined : value;
      return /^\d{0,3}$/.test(value) ? undefined : 'EIO is not a small number';
    case JSONP:
      query.jsonp = /^\d{1,10}$/.test(value) ? value : undefined;
      return undefined;
    default:
      query.base64 = value !== '';
      return undefined;
  }
}

function isTransport(value: string): value is Transport {
  return value === 'polling' || value === 'websocket';
}
