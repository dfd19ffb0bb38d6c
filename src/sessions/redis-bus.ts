import type { Redis } from 'ioredis';
import { afterNextReads } from './in-time.ts';
import { retryDelayMs } from './redis-client.ts';
import type { SessionCounts, StoreEvents } from './store.ts';

/** Longest wait for the peers' word that they forgot a sid, or answered a greeting. */
const ACK_TIMEOUT_MS = 250;
const TICK_MS = 1_000;
const HEARTBEAT_MS = 2_000;
/** A peer that was not heard for this long is gone. */
const PEER_SILENT_MS = 5_000;

/** What a {@link RedisBus} is made of. */
export interface BusOptions {
  readonly replica: string;
  readonly channel: string;
  /** A fresh connection, not yet connected, that ends instead of connecting again. */
  readonly connect: () => Redis;
  /** Resolves with the number of subscribers reached; a Cluster only counts those of one node. */
  readonly publish: (channel: string, message: string) => Promise<number>;
  readonly countsReceivers: boolean;
  readonly events: Pick<StoreEvents, 'onForget' | 'onGap' | 'onPeerCounts'>;
  /** Monotonic clock in milliseconds. */
  readonly now: () => number;
}

/** A claim's wait for its peers. */
export interface AckWait {
  /** The message that a claim publishes. */
  readonly message: string;
  /** Resolves when every living peer has forgotten the sid, or after 250 ms. */
  all(): Promise<void>;
  /** To be called in the end, waited or not. */
  done(): void;
}

/**
 * What replicas tell each other over one pub/sub channel, plus one channel per replica for answers.
 * Messages are words: `forget <from> <ack> <sid>`, `ack <from> <ack>`, `hello <from> <json>`,
 * `counts <from> <json>`, `bye <from>`. Nothing is believed to have arrived: every (re)subscription
 * reports a gap, and silence means gone.
 */
export class RedisBus {
  readonly #options: BusOptions;
  readonly #peers = new Map<string, number>();
  readonly #waits = new Map<string, (peer: string) => void>();
  readonly #ticker: NodeJS.Timeout;
  #client: Redis | undefined;
  #retry: NodeJS.Timeout | undefined;
  #attempts = 0;
  #subscribed = false;
  #closed = false;
  #ackIds = 0;
  #counts = '{}';
  #publishedAt = -Infinity;
  #greeted: (() => void) | undefined;
  #answers = new Set<string>();
  /** Resolves when this replica has made itself known for the first time. */
  readonly known: Promise<void>;
  #resolveKnown: () => void = () => undefined;

  constructor(options: BusOptions) {
    this.#options = options;
    this.known = new Promise((resolve) => {
      this.#resolveKnown = resolve;
    });
    this.#ticker = setInterval(() => {
      this.#tick();
    }, TICK_MS).unref();
    this.#connect();
  }

  /** Registers the wait before the claim is sent: answers may overtake the claim's own. */
  awaitForget(sid: string): AckWait {
    const id = (this.#ackIds++).toString(36);
    const acked = new Set<string>();
    let check: () => void = () => undefined;
    this.#waits.set(id, (peer) => {
      acked.add(peer);
      check();
    });
    const complete = (): boolean => [...this.#peers.keys()].every((peer) => acked.has(peer));
    return {
      message: `forget ${this.#options.replica} ${id} ${sid}`,
      done: () => this.#waits.delete(id),
      all: async () => {
        if (complete()) return;
        await within(ACK_TIMEOUT_MS, (resolve) => {
          check = () => {
            if (complete()) resolve();
          };
        });
      },
    };
  }

  /** The message that a release publishes; nobody waits for it. */
  forgetMessage(sid: string): string {
    return `forget ${this.#options.replica} - ${sid}`;
  }

  publishCounts(counts: SessionCounts): void {
    this.#counts = JSON.stringify(Object.fromEntries(counts));
    this.#publishCounts();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#ticker);
    clearTimeout(this.#retry);
    this.#client?.disconnect();
    this.#resolveKnown();
    if (this.#subscribed) await this.#send(this.#options.channel, `bye ${this.#options.replica}`);
  }

  #connect(): void {
    const client = this.#options.connect();
    this.#client = client;
    client.on('message', (_channel: string, message: string) => {
      this.#onMessage(message);
    });
    client.once('ready', () => void this.#subscribe(client));
    client.once('end', () => {
      this.#onEnd();
    });
    client.connect().catch(() => undefined);
  }

  #onEnd(): void {
    if (this.#closed) return;
    if (this.#subscribed) this.#options.events.onGap();
    this.#subscribed = false;
    this.#retry = setTimeout(() => {
      this.#connect();
    }, retryDelayMs(++this.#attempts));
  }

  async #subscribe(client: Redis): Promise<void> {
    const { channel, replica, events } = this.#options;
    try {
      await client.subscribe(channel, this.#ownChannel(replica));
      await this.#greet();
    } catch {
      client.disconnect();
      return;
    }
    if (this.#closed) return;
    this.#attempts = 0;
    this.#subscribed = true;
    events.onGap();
    this.#resolveKnown();
  }

  /**
   * Peers wait only for those they know. Once they have answered, no claim of theirs can resolve
   * without this replica having heard of it.
   */
  async #greet(): Promise<void> {
    const { channel, publish, countsReceivers } = this.#options;
    this.#answers = new Set();
    const receivers = await publish(channel, this.#countsMessage('hello'));
    const expected = countsReceivers ? receivers - 1 : Infinity;
    if (this.#answers.size >= expected) return;
    await within(ACK_TIMEOUT_MS, (resolve) => {
      this.#greeted = () => {
        if (this.#answers.size >= expected) resolve();
      };
    });
    this.#greeted = undefined;
  }

  #onMessage(message: string): void {
    const [verb = '', from = '', word = '', sid = ''] = message.split(' ');
    const rest = message.slice(verb.length + from.length + 2);
    if (this.#closed || from === '' || from === this.#options.replica) return;
    switch (verb) {
      case 'forget':
        this.#options.events.onForget(sid);
        if (word !== '-') void this.#send(this.#ownChannel(from), this.#ackOf(word));
        return;
      case 'ack':
        this.#waits.get(word)?.(from);
        return;
      case 'hello':
        this.#hear(from, parseCounts(rest));
        void this.#send(this.#ownChannel(from), this.#countsMessage('counts'));
        return;
      case 'counts':
        this.#hear(from, parseCounts(rest));
        return;
      case 'bye':
        this.#lose(from);
        return;
    }
  }

  #hear(peer: string, counts: SessionCounts): void {
    this.#peers.set(peer, this.#options.now());
    this.#options.events.onPeerCounts(peer, counts);
    this.#answers.add(peer);
    this.#greeted?.();
  }

  #lose(peer: string): void {
    if (this.#peers.delete(peer)) this.#options.events.onPeerCounts(peer, undefined);
  }

  #tick(): void {
    const now = this.#options.now();
    for (const [peer, heardAt] of this.#peers) {
      if (now - heardAt > PEER_SILENT_MS) this.#lose(peer);
    }
    // A subscriber owes nobody an answer, so only a question shows that its server is frozen: the
    // socket timeout then ends it.
    if (this.#subscribed) this.#client?.ping().catch(() => undefined);
    if (now - this.#publishedAt >= HEARTBEAT_MS) this.#publishCounts();
  }

  #publishCounts(): void {
    if (!this.#subscribed || this.#closed) return;
    this.#publishedAt = this.#options.now();
    void this.#send(this.#options.channel, this.#countsMessage('counts'));
  }

  #countsMessage(verb: 'counts' | 'hello'): string {
    return `${verb} ${this.#options.replica} ${this.#counts}`;
  }

  #ackOf(id: string): string {
    return `ack ${this.#options.replica} ${id}`;
  }

  #ownChannel(replica: string): string {
    return `${this.#options.channel}:${replica}`;
  }

  /** Loses silently: the receiver's timeout or the next heartbeat makes up for it. */
  async #send(channel: string, message: string): Promise<void> {
    try {
      await this.#options.publish(channel, message);
    } catch {
      // Availability is judged by the commands that matter.
    }
  }
}

/** Resolves when `start` calls back, or after `ms`. */
async function within(ms: number, start: (resolve: () => void) => void): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  await new Promise<void>((resolve) => {
    timer = setTimeout(() => {
      afterNextReads(resolve);
    }, ms);
    start(resolve);
  });
  clearTimeout(timer);
}

function parseCounts(json: string): SessionCounts {
  let parsed: unknown;
  try {
    parsed = JSON.parse(json);
  } catch {
    return new Map();
  }
  if (typeof parsed !== 'object' || parsed === null) return new Map();
  return new Map(Object.entries(parsed).filter(isCount));
}

function isCount(entry: [string, unknown]): entry is [string, number] {
  return Number.isSafeInteger(entry[1]) && (entry[1] as number) >= 0;
}
