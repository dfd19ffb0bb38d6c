/** What became of reading one value: the value, or what it should have been. */
export type Parsed<T> =
  | { readonly ok: true; readonly value: T }
  | {
      readonly ok: false;
      /** Completes the sentence "expected …". */
      readonly expected: string;
      readonly hint: string | undefined;
    };

/** The value was read. */
export function accept<T>(value: T): Parsed<T> {
  return { ok: true, value };
}

/** The value is not what it should be. */
export function refuse<T>(expected: string, hint?: string): Parsed<T> {
  return { ok: false, expected, hint };
}
