import {
  create,
  type DescMessage,
  type DescMethodUnary,
  type DescService,
  type MessageInitShape,
  type MessageShape,
} from '@bufbuild/protobuf';
import type { Call } from '../access/call.ts';
import { type Limits, type Validator, validator } from './limits.ts';

/** The handlers of a service: one for each rpc, for requests that are within their limits. */
export type Handlers<S extends DescService> = {
  [M in keyof S['method']]: S['method'][M] extends DescMethodUnary<infer I, infer O>
    ? (request: MessageShape<I>, call: Call) => MessageInitShape<O> | Promise<MessageInitShape<O>>
    : never;
};

/** One rpc, with everything that is done for it. */
export interface Operation {
  readonly method: DescMethodUnary;
  /** AWS's name. */
  readonly name: string;
  readonly validate: Validator;
  /** Answers, or throws what the call ends in. */
  readonly serve: (request: object, call: Call) => object | Promise<object>;
  /** Whether it acts on what the replica remembers, and so may answer only while the lease holds. */
  readonly actsOnCache: boolean;
}

/**
 * The operations of a service.
 *
 * @param actsOnCache those that act on what the replica remembers
 */
export function operationsOf<S extends DescService>(
  service: S,
  limits: Limits<S>,
  handlers: Handlers<S>,
  actsOnCache: readonly (keyof S['method'] & string)[],
): Operation[] {
  return service.methods.map((method) => {
    if (method.methodKind !== 'unary') throw new Error(`${method.name} is not unary`);
    const name = method.localName as keyof S['method'] & string;
    const handler = handlers[name].bind(handlers) as (request: object, call: Call) => object | Promise<object>;
    return {
      method: method as DescMethodUnary,
      name: method.name,
      validate: validator(method.input, limits[name]),
      serve: handler,
      actsOnCache: actsOnCache.includes(name),
    };
  });
}

/** The message that a handler's answer stands for. */
export function toMessage(operation: Operation, answer: object): MessageShape<DescMessage> {
  return create(operation.method.output, answer as MessageInitShape<DescMessage>);
}
