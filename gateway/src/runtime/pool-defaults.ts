/** How every pool of a gateway is opened, whatever it leads to. */
export const poolDefaults = { statementTimeoutMs: 30_000, applicationName: 'latchkey' } as const
