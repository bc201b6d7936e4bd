import type { Principal } from './principal.ts';

/** The protocols that a call can come by. */
export type Wire = 'grpc' | 'connect' | 'grpc-web' | 'aws-json';

/** A call under way: who wants what, and what is found out about it on the way. */
export interface Call {
  /** A UUID, told to the caller and to the audit log. */
  readonly requestId: string;
  /** AWS's name, such as `GenerateMac`. */
  readonly operation: string;
  readonly wire: Wire;
  /** The peer's IP address; empty when the transport has none. */
  readonly sourceAddress: string;
  /** Who calls; NOBODY until that is known. */
  principal: Principal;
  /** The ARN of the key that the call is about, once it is known that there is one. */
  keyArn: string | undefined;
  /** The name of the MAC algorithm that is asked for, once the request is known to be well-formed. */
  macAlgorithm: string | undefined;
  /** The ID of the grant that allows it, if one does. */
  grantId: string | undefined;
  /** What allowed, denied or refused it, in words, once that is known. */
  decidedBy: string | undefined;
}
