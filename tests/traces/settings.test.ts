import { inspect } from 'node:util'
import { expect, test } from 'vitest'
import { readConfig } from '../../gateway/src/config.ts'

const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' }

test('without an endpoint nothing is traced, and without a token of its own the metrics are the admin’s', () => {
  expect(readConfig({})).toMatchObject({ tracing: null, metricsToken: null })
  expect(readConfig({ OTEL_SERVICE_NAME: 'x', OTEL_EXPORTER_OTLP_HEADERS: 'nonsense' }).tracing).toBeNull()
})

test('OpenTelemetry’s own variables say where spans go', () => {
  expect(readConfig(endpoint).tracing).toEqual({
    url: 'http://collector:4318/v1/traces',
    headers: [],
    serviceName: 'latchkey',
    ratio: 1,
  })
  const { tracing } = readConfig({
    OTEL_EXPORTER_OTLP_ENDPOINT: 'https://otlp.example.com/base/',
    OTEL_EXPORTER_OTLP_HEADERS: 'api-key=a%20key%3D, x-other = b ',
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    OTEL_SERVICE_NAME: 'llm-gateway',
    OTEL_TRACES_SAMPLER_ARG: '0.25',
  })
  expect(tracing).toMatchObject({
    url: 'https://otlp.example.com/base/v1/traces',
    serviceName: 'llm-gateway',
    ratio: 0.25,
  })
  expect(tracing?.headers.map(({ name, value }) => [name, value.reveal()])).toEqual([
    ['api-key', 'a key='],
    ['x-other', 'b'],
  ])
})

test('credentials of the settings are not shown', () => {
  const config = readConfig({
    ...endpoint,
    LATCHKEY_METRICS_TOKEN: 'canary-canary-canary',
    OTEL_EXPORTER_OTLP_HEADERS: 'api-key=canary',
  })
  const { tracing, metricsToken } = config
  expect(inspect(config, { depth: 9 }) + JSON.stringify({ tracing, metricsToken })).not.toContain('canary')
})

test.each([
  ['LATCHKEY_METRICS_TOKEN', 'canary'],
  ['LATCHKEY_METRICS_TOKEN', 'canary with spaces in it'],
  ['OTEL_EXPORTER_OTLP_ENDPOINT', 'collector:4318'],
  ['OTEL_EXPORTER_OTLP_ENDPOINT', 'file:///tmp/traces'],
  ['OTEL_EXPORTER_OTLP_ENDPOINT', 'http://user:canary@collector:4318'],
  ['OTEL_EXPORTER_OTLP_PROTOCOL', 'grpc'],
  ['OTEL_EXPORTER_OTLP_HEADERS', 'canary'],
  ['OTEL_EXPORTER_OTLP_HEADERS', 'key=canary%'],
  ['OTEL_EXPORTER_OTLP_HEADERS', 'key=canary%0d%0ax: y'],
  ['OTEL_EXPORTER_OTLP_HEADERS', 'bad name=canary'],
  ['OTEL_TRACES_SAMPLER_ARG', '1.5'],
  ['OTEL_TRACES_SAMPLER_ARG', '-1'],
  ['OTEL_TRACES_SAMPLER_ARG', 'all'],
])('%s can not be %j', (param, value) => {
  expect(() => readConfig({ ...endpoint, [param]: value })).toThrow(
    expect.objectContaining({
      code: 'invalid_config',
      param,
      message: expect.not.stringContaining('canary'),
    }),
  )
})
