import {
  create,
  type DescMessage,
  type DescMethod,
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

/** Answers a request that is within its limits. */
export type Serve = (request: object, call: Call) => object | Promise<object>;

/** One rpc, with everything that is done for it. */
export interface Operation {
  readonly method: DescMethodUnary;
  /** AWS's name. */
  readonly name: string;
  readonly validate: Validator;
  /** Answers, or throws what the call ends in. */
  readonly serve: Serve;
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
    const name = method.localName as keyof S['method'] & string;
    return operationOf(method, limits[name], handlers[name].bind(handlers) as Serve, actsOnCache.includes(name));
  });
}

/** The operations of a service that are all alike, and read the store. */
export function alikeOperationsOf(service: DescService, limits: object, serve: Serve): Operation[] {
  return service.methods.map((method) => operationOf(method, limits, serve, false));
}

function operationOf(method: DescMethod, limits: object, serve: Serve, actsOnCache: boolean): Operation {
  if (method.methodKind !== 'unary') throw new Error(`${method.name} is not unary`);
  return {
    method: method as DescMethodUnary,
    name: method.name,
    validate: validator(method.input, limits),
    serve,
    actsOnCache,
  };
}

/** The message that a handler's answer stands for. */
export function toMessage(operation: Operation, answer: object): MessageShape<DescMessage> {
  return create(operation.method.output, answer as MessageInitShape<DescMessage>);
}
