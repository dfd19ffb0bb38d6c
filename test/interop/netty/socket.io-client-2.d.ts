/** The part of Socket.IO client 2.5 that the tests use; the package brings no types. */
declare module 'socket.io-client-2' {
  export interface Options {
    readonly transports?: readonly ('polling' | 'websocket')[];
    readonly forceNew?: boolean;
    readonly reconnection?: boolean;
    readonly timeout?: number;
    readonly extraHeaders?: Readonly<Record<string, string>>;
  }

  export interface ClientSocket {
    readonly connected: boolean;
    readonly io: {
      readonly engine: {
        readonly transport: { readonly name: 'polling' | 'websocket' };
        once(event: 'upgrade', listener: () => void): void;
      };
    };
    on(event: string, listener: (...args: unknown[]) => void): this;
    once(event: string, listener: (...args: unknown[]) => void): this;
    emit(event: string, ...args: unknown[]): this;
    disconnect(): this;
  }

  export default function io(url: string, options?: Options): ClientSocket;
}
