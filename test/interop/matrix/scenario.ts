import { isDeepStrictEqual } from 'node:util';
import { setTimeout as sleep } from 'node:timers/promises';
import { withDeadline } from '../../helpers/deadline.ts';
import { eventually } from '../../helpers/eventually.ts';
import type { ClientKind, Dialect, Fragile, Payload, Spoils, Transports } from './contract.ts';
import { MAX_MESSAGE_BYTES, PING_INTERVAL_MS, PING_TIMEOUT_MS } from './contract.ts';
import type { Limit } from './limit.ts';
import { hasLeft, type Guest, type Reception } from './reception.ts';

/** How the scenario went between one client and one server on one way. */
export type Outcome =
  | { readonly kind: 'passed'; readonly dropSeenMs: number }
  | { readonly kind: 'failed'; readonly step: string; readonly why: string };

/** Who plays it, and where. */
export interface Cast {
  readonly client: ClientKind;
  readonly dialect: Dialect;
  readonly transports: Transports;
  /** What the server spoils, whoever asks. */
  readonly spoils: Spoils;
  readonly url: string;
  readonly reception: Reception;
  /** For what keeps a core busy; clients that only wait are many. */
  readonly busy: Limit;
}

const SIZES_BYTES = [1, 1024, 64 * 1024, MAX_MESSAGE_BYTES] as const;
const STREAM_LENGTH = 500;
/** After that long without a pong every server has given its client up. */
const IDLE_MS = PING_INTERVAL_MS + PING_TIMEOUT_MS + 500;
const UPGRADE_MS = 5000;
const GONE_MS = 5000;
const DROPPED_MS = IDLE_MS + 5000;

/** One play: the first session does it all, those beside it are there for their sudden end. */
class Scene {
  readonly #cast: Cast;
  readonly #guests: Guest[] = [];
  dropSeenMs = 0;

  constructor(cast: Cast) {
    this.#cast = cast;
  }

  /** Waits for its turn at what keeps a core busy. */
  async busy(run: () => Promise<void>): Promise<void> {
    await this.#cast.busy.run(run);
  }

  async connect(): Promise<void> {
    const { client, transports, url, reception } = this.#cast;
    // One that polls may be between two polls when it goes; of two, one is not.
    const count = transports.includes('websocket') ? 2 : 3;
    while (this.#guests.length < count) {
      this.#guests.push(await reception.admit(() => client.connect(url, transports)));
    }
  }

  async echoes(): Promise<void> {
    const { session } = this.#guest(0);
    for (let i = 0; i < 20; i++) {
      const word = (await this.#isSpoilt('non-ASCII text')) ? 'ae' : 'ä€';
      await this.#echo({ kind: 'text', text: `${i} ${word}` });
    }
    const name = await session.whoami();
    if (name !== session.node) throw new Error(`welcomed by ${session.node}, now at ${name}`);
  }

  async payloads(): Promise<void> {
    for (const size of SIZES_BYTES) {
      const text = 'x'.repeat(size);
      await this.#echo({ kind: 'text', text });
      if (this.#cast.dialect === 'socket.io') {
        await this.#echo({ kind: 'json', json: { text, list: [1, null, true] } });
      }
      if (await this.#isSpoilt('binary')) continue;
      const bytes = Buffer.alloc(size).map((_byte, index) => (index * 31 + 7) % 256);
      await this.#echo({ kind: 'binary', bytes: Buffer.from(bytes) });
    }
  }

  async stream(): Promise<void> {
    const numbers = await this.#guest(0).session.stream(STREAM_LENGTH);
    const expected = Array.from({ length: STREAM_LENGTH }, (_none, index) => index);
    if (!isDeepStrictEqual(numbers, expected)) throw new Error(`came as ${numbers.join(' ')}`);
  }

  async transport(): Promise<void> {
    const expected = this.#cast.transports.at(-1);
    for (const { session } of this.#guests) {
      const arrived = async (): Promise<boolean> => {
        const name = await session.transport();
        return name === undefined || name === expected;
      };
      await eventually(arrived, UPGRADE_MS, `the client is on ${String(expected)}`);
    }
  }

  async idle(): Promise<void> {
    const timer = new AbortController();
    const ended = this.#guests.map(async ({ session }) => {
      await session.closed;
      throw new Error('the connection has ended');
    });
    try {
      await Promise.race([sleep(IDLE_MS, undefined, { signal: timer.signal }), ...ended]);
    } finally {
      timer.abort();
      for (const promise of ended) promise.catch(() => undefined);
    }
    for (const { session } of this.#guests) await session.whoami();
  }

  async disconnect(): Promise<void> {
    const guest = this.#guest(0);
    await guest.session.disconnect();
    await eventually(() => hasLeft(guest), GONE_MS, 'the server sees the client go');
  }

  async drop(): Promise<void> {
    const others = this.#guests.slice(1);
    if (others.some(hasLeft)) throw new Error('another client has gone, too');
    const times = await Promise.all(
      others.map(async (guest) => {
        const droppedAt = performance.now();
        await guest.session.drop();
        await eventually(() => hasLeft(guest), DROPPED_MS, 'the server sees that one is gone');
        return performance.now() - droppedAt;
      }),
    );
    this.dropSeenMs = Math.min(...times);
  }

  async reconnect(): Promise<void> {
    const { session } = this.#guest(0);
    const { url, transports, reception } = this.#cast;
    this.#guests[0] = await reception.admit(() => session.again(url, transports));
    await this.#guest(0).session.whoami();
  }

  async leave(): Promise<void> {
    const guest = this.#guest(0);
    await guest.session.leave();
    await withDeadline(guest.session.closed, GONE_MS, 'the client sees its connection closed');
    await eventually(() => hasLeft(guest), GONE_MS, 'the server has let the client go');
  }

  /** Ends what has not ended yet. */
  async clear(): Promise<void> {
    await Promise.all(this.#guests.map(({ session }) => session.drop()));
  }

  #guest(index: number): Guest {
    const guest = this.#guests[index];
    if (guest === undefined) throw new Error('there is no such client');
    return guest;
  }

  /** Asked ahead of each message: a client may change its transport at any time. */
  async #isSpoilt(what: Fragile): Promise<boolean> {
    const { spoils, transports } = this.#cast;
    const inUse = (await this.#guest(0).session.transport()) ?? transports.at(-1);
    return inUse !== undefined && spoils[inUse]?.includes(what) === true;
  }

  async #echo(payload: Payload): Promise<void> {
    const echoed = await this.#guest(0).session.echo(payload);
    if (!isDeepStrictEqual(echoed, payload)) {
      throw new Error(`${describe(payload)} came back as ${describe(echoed)}`);
    }
  }
}

interface Step {
  readonly name: string;
  readonly run: (scene: Scene) => Promise<void>;
}

/** What happens, in this order; a step that fails is the last. */
export const STEPS: readonly Step[] = [
  { name: 'connect', run: (scene) => scene.connect() },
  { name: '20 acknowledged echoes', run: (scene) => scene.busy(() => scene.echoes()) },
  {
    name: 'text, JSON and binary of 1 B, 1 KB, 64 KB and 1 MB',
    run: (scene) => scene.busy(() => scene.payloads()),
  },
  { name: '500 numbers, complete and in order', run: (scene) => scene.busy(() => scene.stream()) },
  { name: 'the transport asked for', run: (scene) => scene.transport() },
  { name: 'idle for longer than a server waits for a pong', run: (scene) => scene.idle() },
  { name: 'disconnect, seen by the server', run: (scene) => scene.disconnect() },
  { name: 'drop without a word, seen by the server', run: (scene) => scene.drop() },
  { name: 'reconnect as a new session', run: (scene) => scene.reconnect() },
  { name: 'server closes, seen by both', run: (scene) => scene.leave() },
];

/** Plays the whole scenario once. */
export async function play(cast: Cast): Promise<Outcome> {
  const scene = new Scene(cast);
  let current = '';
  try {
    for (const { name, run } of STEPS) {
      current = name;
      await run(scene);
    }
    return { kind: 'passed', dropSeenMs: scene.dropSeenMs };
  } catch (error) {
    return { kind: 'failed', step: current, why: reasonOf(error) };
  } finally {
    await scene.clear();
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function describe(payload: Payload): string {
  switch (payload.kind) {
    case 'text':
      return `text of ${payload.text.length} characters "${payload.text.slice(0, 20)}"`;
    case 'json':
      return `JSON ${JSON.stringify(payload.json).slice(0, 40)}`;
    case 'binary':
      return `${payload.bytes.length} bytes ${payload.bytes.subarray(0, 8).toString('hex')}`;
  }
}
