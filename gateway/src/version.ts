import packageJson from '../package.json' with { type: 'json' }

/** The release that this is, by semantic versioning. */
export const version: string = packageJson.version
