import type net from 'node:net';
import { UnstickyError } from '../errors.ts';
import { headerValue } from '../headers.ts';
import type { Upstream } from '../upstreams/upstream.ts';
import { FirstMessages } from './first-messages.ts';
import type { MessageListener } from './first-messages.ts';
import { headText, Opening } from './opening.ts';
import type { FailedUpgrade, OpeningResult, RefusedUpgrade } from './opening.ts';
import type { ResponseHead } from './response-head.ts';
import { Tunnel } from './tunnel.ts';
import type { TunnelEnd } from './tunnel.ts';
import type { UpgradeClient } from './upgrade-client.ts';

/** How often tunnels' time limits are looked at, in milliseconds; also their error. */
const SWEEP_MS = 1_000;

/** What {@link Tunnels} needs to know. */
export interface TunnelsOptions {
  readonly connectTimeoutMs: number;
  /** Time an upstream may take to answer an upgrade once it is connected. */
  readonly upgradeTimeoutMs: number;
  /** Monotonic clock in milliseconds. Default `performance.now`. */
  readonly now?: () => number;
  /** Default 1 s. */
  readonly sweepIntervalMs?: number;
}

/** An upgrade that has been decided on. */
export interface TunnelRequest {
  readonly client: UpgradeClient;
  readonly upstream: Upstream;
  /** Request line and header block, the empty line included; latin1. */
  readonly head: string;
  /** Silence in both directions that ends the tunnel; undefined: no limit. See {@link Tunnel.idleMs}. */
  readonly idleMs: number | undefined;
  /** Who reads along with the first messages of each side. */
  readonly observe?: {
    readonly client?: MessageListener;
    readonly upstream?: MessageListener;
  };
  /** The 101 has been passed on. Comes before any message that is observed. */
  readonly onOpen?: (tunnel: Tunnel, head: ResponseHead) => void;
  /** Called once, when nothing more will happen to the client's socket through this request. */
  readonly onDone: (outcome: TunnelOutcome) => void;
}

/**
 * How an upgrade ended. After `failed` without `answering` the client still waits: its
 * {@link UpgradeClient} can be used for another request or be refused.
 */
export type TunnelOutcome =
  | ({ readonly kind: 'closed' } & TunnelEnd)
  | RefusedUpgrade
  | FailedUpgrade
  | { readonly kind: 'client-gone' };

/** All upgrades of a router, opening and open, by upstream. */
export class Tunnels {
  readonly #options: TunnelsOptions;
  readonly #now: () => number;
  readonly #byUpstream = new Map<Upstream, Set<Opening | Tunnel>>();
  readonly #open = new Set<Tunnel>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: TunnelsOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /** Tunnels that stand. */
  get open(): number {
    return this.#open.size;
  }

  /** Upgrades that are under way, tunnels included. */
  get running(): number {
    let sum = 0;
    for (const running of this.#byUpstream.values()) sum += running.size;
    return sum;
  }

  /** Sends an upgrade to its upstream, on a connection of its own. */
  forward(request: TunnelRequest): void {
    const { upstream, client, head } = request;
    const { connectTimeoutMs, upgradeTimeoutMs } = this.#options;
    const opening = new Opening({
      client,
      target: upstream.config,
      head,
      connectTimeoutMs,
      upgradeTimeoutMs,
      onConnected: () => {
        upstream.connected();
      },
      onSettled: (result) => {
        this.#remove(upstream, opening);
        this.#onSettled(request, result);
      },
    });
    this.#add(upstream, opening);
    opening.start();
  }

  /** Cuts off everything that goes through this upstream, now. */
  abort(upstream: Upstream, error: UnstickyError = new UnstickyError('UPSTREAM_DOWN')): void {
    for (const running of [...(this.#byUpstream.get(upstream) ?? [])]) running.abort(error);
  }

  /** Ends everything. */
  destroy(error: UnstickyError = new UnstickyError('SHUTTING_DOWN')): void {
    for (const upstream of [...this.#byUpstream.keys()]) this.abort(upstream, error);
  }

  #onSettled(request: TunnelRequest, result: OpeningResult): void {
    if (result.kind === 'upgraded') {
      this.#openTunnel(request, result);
      return;
    }
    if (result.kind === 'failed' && result.error.code === 'UPSTREAM_CONNECT') {
      request.upstream.connectFailed(result.error.message);
    }
    request.onDone(result);
  }

  #openTunnel(
    request: TunnelRequest,
    upgraded: { readonly socket: net.Socket; readonly head: ResponseHead; readonly rest: Buffer },
  ): void {
    const { client, upstream, observe, onOpen, onDone } = request;
    const { socket, head, rest } = upgraded;
    const early = client.release();
    client.socket.cork();
    client.socket.write(headText(head, head.rawHeaders), 'latin1');

    // Only what is named here lives as long as the tunnel; the request and its header do not.
    const tunnel = new Tunnel({ client: client.socket, upstream: socket }, this.#now, (end) => {
      this.#close(upstream, tunnel);
      onDone({ kind: 'closed', ...end });
    });
    tunnel.idleMs = request.idleMs;
    this.#add(upstream, tunnel);
    this.#open.add(tunnel);
    this.#timer ??= setInterval(() => {
      this.#sweep();
    }, this.#options.sweepIntervalMs ?? SWEEP_MS).unref();

    onOpen?.(tunnel, head);
    const extensions = headerValue(head.rawHeaders, 'sec-websocket-extensions');
    for (const sender of ['client', 'upstream'] as const) {
      const listener = observe?.[sender];
      if (listener === undefined) continue;
      tunnel.observe(sender, new FirstMessages(sender, extensions, listener));
    }
    tunnel.inject(early, rest);
    client.socket.uncork();
  }

  #close(upstream: Upstream, tunnel: Tunnel): void {
    this.#remove(upstream, tunnel);
    this.#open.delete(tunnel);
    if (this.#open.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #sweep(): void {
    const now = this.#now();
    for (const tunnel of this.#open) tunnel.sweep(now);
  }

  #add(upstream: Upstream, running: Opening | Tunnel): void {
    const known = this.#byUpstream.get(upstream);
    if (known === undefined) this.#byUpstream.set(upstream, new Set([running]));
    else known.add(running);
  }

  #remove(upstream: Upstream, running: Opening | Tunnel): void {
    const known = this.#byUpstream.get(upstream);
    known?.delete(running);
    if (known?.size === 0) this.#byUpstream.delete(upstream);
  }
}
