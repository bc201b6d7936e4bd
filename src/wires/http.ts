import { getOption } from '@bufbuild/protobuf';
import { TlsIdentities } from '../access/tls-identity.ts';
import type { Dispatcher } from '../calls/dispatcher.ts';
import type { Operation } from '../calls/operation.ts';
import { beyond_aws_rpc } from '../gen/hmacd/v1/options_pb.ts';
import { AwsJsonHandler } from './aws-json.ts';
import { ConnectHandler } from './connect.ts';
import { HttpListener } from './http-listener.ts';
import type { Address, Listener } from './listener.ts';
import type { Tls } from './tls.ts';
import { admits, type WebAccess } from './web-access.ts';

/** The HTTP listener: AWS JSON at `/`; Connect (JSON and binary), gRPC-Web and, with TLS, gRPC at the paths of the rpcs. */
export class HttpWire implements Listener {
  readonly #listener: HttpListener;

  /** @param awsOperations those that only AWS's wire has, beside the others */
  constructor(
    operations: readonly Operation[],
    awsOperations: readonly Operation[],
    dispatcher: Dispatcher,
    access: WebAccess,
    tls: Tls | undefined,
  ) {
    const identities = new TlsIdentities();
    const known = operations.filter(({ method }) => !getOption(method, beyond_aws_rpc));
    const awsJson = new AwsJsonHandler([...known, ...awsOperations], dispatcher, identities);
    const connect = new ConnectHandler(operations, dispatcher, identities, tls !== undefined);
    this.#listener = new HttpListener((request, response) => {
      if (!admits(request, response, access)) return;
      const path = pathOf(request.url ?? '');
      if (path === '/') awsJson.handle(request, response);
      else connect.handle(path, request, response);
    }, tls);
  }

  async listen(address: Address): Promise<number> {
    return await this.#listener.listen(address);
  }

  async drain(): Promise<void> {
    await this.#listener.drain();
  }

  close(): void {
    this.#listener.close();
  }
}

function pathOf(url: string): string {
  const end = url.indexOf('?');
  return end === -1 ? url : url.slice(0, end);
}
