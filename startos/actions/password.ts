import { existsSync } from 'node:fs'
import { z } from '@start9labs/start-sdk'
import { runProgram } from '../container'
import { readSections, saveSections, shown } from '../files/config'
import { sdk } from '../sdk'
import { auth, checked } from '../settings/schema'
import { DATA, PASSWORD } from '../shared'
import { choice } from './fields'

const { InputSpec, Value } = sdk

const SHORTEST = 10
const LONGEST = 1000

const wanted = z.strictObject({
  mode: auth.shape.mode,
  password: z.string().max(LONGEST).nullish(),
})

export const password = sdk.Action.withInput(
  'password',
  {
    name: 'Dashboard password',
    description:
      'Whether the dashboard and its API ask for a password, and a new one. Programs use API keys.',
    warning: null,
    allowedStatuses: 'any',
    group: 'Service',
    visibility: 'enabled',
  },
  InputSpec.of({
    mode: choice(
      {
        open: 'Ask nobody: everyone on my network is trusted',
        password: 'Ask for the password',
      },
      'open',
      {
        name: 'Login',
        description: 'The gateway at /v1 is not concerned: it has API keys.',
      },
    ),
    password: Value.text({
      name: 'New password',
      description: `At least ${SHORTEST} characters. Leave it empty to keep the present one.`,
      required: false,
      default: null,
      masked: true,
      maxLength: LONGEST,
    }),
  }),
  // Never what is in use: only its hash is known.
  async () => ({ ...shown(await readSections(), 'auth'), password: null }),
  async ({ effects, input }) => {
    const { mode, password: fresh } = checked(wanted, input, 'auth')
    if (fresh)
      await runProgram(effects, ['password', '--data', DATA], `${fresh}\n`)
    else if (mode === 'password' && !isSet())
      throw new Error(
        'Not saved. Set a password first: without one nobody could log in.',
      )
    await saveSections({ auth: { mode } })
  },
)

const isSet = () => existsSync(sdk.volumes.main.subpath(PASSWORD))
