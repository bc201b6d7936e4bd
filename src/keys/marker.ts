import { KmsError } from '../errors.ts';

/** The marker that asks for what comes after a name. Opaque to callers. */
export function markerAfter(name: string): string {
  return Buffer.from(name).toString('base64url');
}

/**
 * The name that a marker stands for; empty for no marker.
 *
 * @param isName what a name of this list looks like
 * @throws KmsError InvalidMarkerException, with no text, as AWS does
 */
export function nameOfMarker(marker: string | undefined, isName: (name: string) => boolean): string {
  if (marker === undefined) return '';
  const name = Buffer.from(marker, 'base64url').toString();
  if (markerAfter(name) !== marker || !isName(name)) throw new KmsError('InvalidMarkerException');
  return name;
}

/** A page out of what was found when one more than `limit` was asked for. */
export function pageOf<T>(found: readonly T[], limit: number): { page: readonly T[]; truncated: boolean } {
  return { page: found.slice(0, limit), truncated: found.length > limit };
}
