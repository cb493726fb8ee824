import { type Clock, type Log, type RandomBytes, uuidv7 } from '@latchkey/shared'
import type { TracingSetting } from '../config.ts'
import type { TraceFigures } from '../metrics/gateway-metrics.ts'
import type { Tracer } from '../proxy/tracer.ts'
import { RequestTracer } from '../traces/request-tracer.ts'
import { SpanExporter } from '../traces/span-exporter.ts'
import { version } from '../version.ts'

/** What a tracing takes from outside its configuration. */
export interface TracingSurroundings {
  readonly clock: Clock
  readonly random: RandomBytes
  readonly log: Log
}

/** Traces of this process's requests. */
export interface Tracing {
  readonly tracer: Tracer
  figures(): TraceFigures
  /** Sends what waits, until `deadline` (monotonic ms). */
  close(deadline: number): Promise<void>
}

/** Connects to nothing before there is a span to send. */
export function openTracing(
  { url, headers, serviceName, ratio }: TracingSetting,
  { clock, random, log }: TracingSurroundings,
): Tracing {
  const resource = { serviceName, serviceVersion: version, instanceId: uuidv7(clock, random) }
  const exporter = new SpanExporter({ url, headers, resource, clock, random, log })
  return {
    tracer: new RequestTracer({ sink: exporter, clock, random, ratio }),
    figures: () => exporter,
    close: (deadline) => exporter.close(deadline),
  }
}
