import type { Binding } from './store.ts';

/*
 * One key per sid, value `<generation> <ttlMs> <upstream>`; a value of another form counts as none.
 * Each verb is one script on one key: atomic, one round trip, and at home in a Cluster.
 * Needs Redis 5 or later. The PUBLISH inside costs an overwrite no round trip of its own and, in a
 * Cluster, reaches every node over the cluster bus like any other.
 */

const CLAIM = `
local held = redis.call('GET', KEYS[1])
local time, owner
if held then time, owner = string.match(held, '^(%d+)%-%S+ %d+ (.+)$') end
if owner then
  if tonumber(time) > tonumber(string.match(ARGV[1], '^%d+')) then return held end
  if owner ~= ARGV[3] and ARGV[4] ~= '1' then return held end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
if not owner and ARGV[5] ~= '1' then return 0 end
redis.call('PUBLISH', ARGV[6], ARGV[7])
return 1
`;

const TOUCH = `
local held = redis.call('GET', KEYS[1])
local generation = held and string.match(held, '^(%d+%-%S+) %d+ .+$')
if not generation then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
  return 0
end
if generation ~= ARGV[1] then return held end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
`;

const RELEASE = `
local held = redis.call('GET', KEYS[1])
if not held or string.match(held, '^%S+') ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('PUBLISH', ARGV[2], ARGV[3])
return 1
`;

type Flag = '0' | '1';

/** The commands that {@link SCRIPTS} adds to a client. */
export interface ScriptCommands {
  /** Resolves with 0 (claimed), 1 (claimed and published) or the holder's value. */
  claimBinding(
    key: string,
    value: string,
    ttlMs: number,
    upstream: string,
    overwrite: Flag,
    announce: Flag,
    channel: string,
    message: string,
  ): Promise<unknown>;
  /** Resolves with 0 (written again), 1 (touched) or the holder's value. */
  touchBinding(key: string, generation: string, value: string, ttlMs: number): Promise<unknown>;
  /** Resolves with 1 if the generation held and was deleted. */
  releaseBinding(
    key: string,
    generation: string,
    channel: string,
    message: string,
  ): Promise<unknown>;
}

/** Scripts in the form of ioredis's `scripts` option. */
export const SCRIPTS: Record<keyof ScriptCommands, { lua: string; numberOfKeys: number }> = {
  claimBinding: { lua: CLAIM, numberOfKeys: 1 },
  touchBinding: { lua: TOUCH, numberOfKeys: 1 },
  releaseBinding: { lua: RELEASE, numberOfKeys: 1 },
};

/** A binding as Redis holds it. */
export function encodeBinding({ generation, ttlMs, upstream }: Binding): string {
  return `${generation} ${String(ttlMs)} ${upstream}`;
}

const VALUE = /^(\d+-\S+) (\d+) (.+)$/;

/** A binding from what Redis holds; undefined if it is not of our making. */
export function decodeBinding(sid: string, value: unknown): Binding | undefined {
  const [, generation, ttlMs, upstream] = (typeof value === 'string' && VALUE.exec(value)) || [];
  if (generation === undefined || ttlMs === undefined || upstream === undefined) return undefined;
  return { sid, generation, ttlMs: Number(ttlMs), upstream };
}
