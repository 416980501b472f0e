/**
 * Everything that lasts, and nothing else. The live database is left out: its copy is complete by
 * itself and becomes the database when a backup is restored.
 */
import { rename, rm } from 'node:fs/promises'
import { runScript } from './container'
import { sdk } from './sdk'
import { DATABASE, DATABASE_COPY, LOCAL_TOKEN, TMP } from './shared'

/** rsync patterns; a leading slash is the volume's root. */
export const EXCLUDED = [
  `/${TMP}/`,
  // What waits for the next start must not be put in place after a restore of this.
  '/restore/',
  '/set-aside/',
  '*.lock',
  // Good for as long as the app that wrote it runs.
  `/${LOCAL_TOKEN}`,
  '*.part',
  `/${DATABASE}`,
  `/${DATABASE}-wal`,
  `/${DATABASE}-shm`,
]

const inData = (name: string) => sdk.volumes.main.subpath(name)

export const { createBackup, restoreInit } = sdk.setupBackups(async () =>
  sdk.Backups.withOptions({ exclude: EXCLUDED })
    .addVolume('main')
    .addVolume('startos')
    .setPreBackup(async (effects) => {
      await runScript(effects, 'copy_database.py', [DATABASE, DATABASE_COPY])
    })
    .setPostBackup(async () => {
      await rm(inData(DATABASE_COPY), { force: true })
    })
    .setPostRestore(async () => {
      // A -wal of another database would be played into this one.
      for (const suffix of ['-wal', '-shm'])
        await rm(inData(DATABASE + suffix), { force: true })
      await rename(inData(DATABASE_COPY), inData(DATABASE)).catch((error) => {
        // Backed up before the first start: there was no database.
        if (error.code !== 'ENOENT') throw error
      })
    }),
)
