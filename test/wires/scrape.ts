/** The samples of a service's metrics: `name{label="value"}`, with the labels in the order of their names. */
export type Samples = ReadonlyMap<string, number>;

/** Reads `/metrics` of an admin listener. */
export async function scrape(adminPort: number): Promise<Samples> {
  const response = await fetch(`http://127.0.0.1:${adminPort}/metrics`);
  const lines = (await response.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const [, name = '', labels, value] = /^(\w+)(?:\{(.*)\})? (\S+)/.exec(line) ?? [];
      const sorted = labels
        ?.match(/\w+="[^"]*"/g)
        ?.toSorted()
        .join(',');
      return [sorted === undefined ? name : `${name}{${sorted}}`, Number(value)];
    }),
  );
}

/** How many calls of an operation ended so on a wire. */
export function callsIn(samples: Samples, operation: string, wire: string, outcome: string): number {
  return samples.get(`hmacd_calls_total{operation="${operation}",outcome="${outcome}",wire="${wire}"}`) ?? 0;
}
