/** The package's own notes, on a volume that the app does not see. */
import { FileHelper, z } from '@start9labs/start-sdk'
import { sdk } from '../sdk'

export const storeJson = FileHelper.json(
  { base: sdk.volumes.startos, subpath: 'store.json' },
  z.looseObject({
    /** The public half of the key that an action put in place; main restarts when it changes. */
    publicKey: z.string().nullable().catch(null),
  }),
)
