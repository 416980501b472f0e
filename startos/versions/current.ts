import { IMPOSSIBLE, VersionInfo } from '@start9labs/start-sdk'

/** upstream:downstream. The app migrates its own database when it starts. */
export const current = VersionInfo.of({
  version: '0.1.0:0',
  releaseNotes: { en_US: 'The first package of Spark Control.' },
  migrations: {
    up: async () => {},
    // A database that was migrated forward is not read by the version before.
    down: IMPOSSIBLE,
  },
})
