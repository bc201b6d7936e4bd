import { awsJsonCall, type Call, connectCall, describeKeyCall, grpcCall } from './calls.ts';
import type { Listener, ServerName } from './launches.ts';

/** Servers that are asked the same, side by side, and what their rates are to be compared with. */
export type Benchmark = {
  /** What `--only` calls it. */
  readonly name: string;
  readonly title: string;
  readonly listener: Listener;
  readonly servers: readonly ServerName[];
  /** Lengths of the messages, in bytes; 0 where there is none. */
  readonly sizes: readonly number[];
  readonly call: (size: number) => Call;
  readonly comparisons: readonly Comparison[];
};

/** The ratio of two servers' rates. */
export type Comparison = {
  readonly server: ServerName;
  readonly beside: ServerName;
  /** The least ratio, by size, that is not a regression. Absent: shown, not judged. */
  readonly floors?: Readonly<Record<number, number>>;
};

/** A short message, and the longest that GenerateMac takes. */
const sizes = [32, 4_096];

export const benchmarks: readonly Benchmark[] = [
  {
    name: 'grpc',
    title: 'GenerateMac over gRPC',
    listener: 'grpc',
    servers: ['hmacd', 'bare grpc-js', 'bare node:http2'],
    sizes,
    call: grpcCall,
    comparisons: [
      { server: 'hmacd', beside: 'bare grpc-js', floors: { 32: 0.82, 4_096: 0.8 } },
      { server: 'hmacd', beside: 'bare node:http2', floors: { 32: 0.52, 4_096: 0.48 } },
      // Not about hmacd: what grpc-js costs, which moves the ratio above when it moves.
      { server: 'bare grpc-js', beside: 'bare node:http2' },
    ],
  },
  {
    name: 'access',
    title: 'GenerateMac over gRPC with access control: a bearer token, policies, and the grant that allows it',
    listener: 'grpc',
    servers: ['hmacd', 'hmacd with a grant', 'hmacd with 50,000 grants'],
    sizes: [32],
    call: grpcCall,
    comparisons: [
      { server: 'hmacd with a grant', beside: 'hmacd', floors: { 32: 0.9 } },
      { server: 'hmacd with 50,000 grants', beside: 'hmacd with a grant', floors: { 32: 0.95 } },
    ],
  },
  {
    name: 'aws',
    title: "GenerateMac over AWS's JSON 1.1, with Signature Version 4 checked",
    listener: 'http',
    servers: ['hmacd with principals', 'bare node:http', 'moto_server'],
    sizes: [32],
    call: awsJsonCall,
    comparisons: [
      { server: 'hmacd with principals', beside: 'bare node:http', floors: { 32: 0.45 } },
      { server: 'hmacd with principals', beside: 'moto_server', floors: { 32: 20 } },
    ],
  },
  {
    name: 'keys',
    title: 'DescribeKey by alias over gRPC, with keys on Redis, each with an alias and tags',
    listener: 'grpc',
    servers: ['hmacd with 10 keys', 'hmacd with 100,000 keys'],
    sizes: [0],
    call: describeKeyCall,
    comparisons: [{ server: 'hmacd with 100,000 keys', beside: 'hmacd with 10 keys', floors: { 0: 0.9 } }],
  },
  {
    name: 'json',
    title: 'GenerateMac over Connect, as JSON',
    listener: 'http',
    servers: ['hmacd', 'bare node:http'],
    sizes,
    call: connectCall,
    comparisons: [{ server: 'hmacd', beside: 'bare node:http' }],
  },
];
