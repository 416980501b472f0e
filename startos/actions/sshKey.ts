import { z } from '@start9labs/start-sdk'
import { runScript } from '../container'
import { storeJson } from '../files/store'
import { sdk } from '../sdk'
import { checked } from '../settings/schema'

const { InputSpec, Value, Variants } = sdk

const MAX_LENGTH = 64 * 1024

/** What the handler takes; a pasted text is judged by the app's own library. */
const wanted = z.discriminatedUnion('selection', [
  z.strictObject({ selection: z.literal('keep'), value: z.strictObject({}) }),
  z.strictObject({ selection: z.literal('new'), value: z.strictObject({}) }),
  z.strictObject({
    selection: z.literal('import'),
    value: z.strictObject({
      pem: z.string().trim().min(1, 'paste a private key').max(MAX_LENGTH),
    }),
  }),
])

export const sshKey = sdk.Action.withInput(
  'ssh-key',
  {
    name: 'SSH key',
    description:
      'Shows the public key to put on your Sparks. Makes a key on this server, or takes one of yours.',
    warning: null,
    allowedStatuses: 'any',
    group: 'Cluster',
    visibility: 'enabled',
  },
  InputSpec.of({
    key: Value.union({
      name: 'Key',
      description: 'The private half never leaves this server.',
      default: 'keep',
      variants: Variants.of({
        keep: {
          name: 'Show it (make one when there is none)',
          spec: InputSpec.of({}),
        },
        new: { name: 'Replace it by a new one', spec: InputSpec.of({}) },
        import: {
          name: 'Replace it by a key of mine',
          spec: InputSpec.of({
            pem: Value.textarea({
              name: 'Private key',
              description:
                'The whole text, from -----BEGIN to -----END, without a passphrase.',
              required: true,
              default: null,
              maxLength: MAX_LENGTH,
              minRows: 6,
              maxRows: 12,
            }),
          }),
        },
      }),
    }),
  }),
  // Never what is in use: a form is no place for a private key.
  async () => null,
  async ({ effects, input }) => {
    const key = checked(wanted, input.key, 'key')
    const pem = key.selection === 'import' ? key.value.pem : ''
    const line = await runScript(effects, 'ssh_key.py', [key.selection], pem)
    if (key.selection !== 'keep')
      await storeJson.merge(effects, { publicKey: line })
    return {
      version: '1',
      title: key.selection === 'keep' ? 'Public key' : 'The key was replaced',
      message:
        'Append this line to ~/.ssh/authorized_keys of the SSH user on every Spark, then run Test connection.',
      result: {
        type: 'single',
        value: line,
        copyable: true,
        qr: false,
        masked: false,
      },
    }
  },
)
