/** API keys of the running app: what programs use at /v1, and for its JSON API. */
import { z } from '@start9labs/start-sdk'
import { ask, keyAnswer, keysAnswer } from '../app/client'
import { sdk } from '../sdk'
import { checked } from '../settings/schema'
import { choice } from './fields'

const { InputSpec, Value } = sdk

const PATH = '/api/v1/keys'
const SCOPES = ['gateway', 'read', 'admin'] as const
const about = { allowedStatuses: 'only-running', group: 'API keys' } as const

const line = (value: string, { masked = false, copyable = false } = {}) => ({
  type: 'single' as const,
  value,
  masked,
  copyable,
  qr: false,
})

export const apiKeys = sdk.Action.withoutInput(
  'api-keys',
  {
    ...about,
    name: 'List API keys',
    description: 'What each may do, and when it was last used.',
    warning: null,
    visibility: 'enabled',
  },
  async () => {
    const { keys } = await ask(keysAnswer, PATH)
    const active = keys.filter(({ state }) => state === 'active')
    return {
      version: '1',
      title: 'API keys',
      message: active.length
        ? null
        : 'There are none. Requests without a key are answered unless the limits say otherwise.',
      result: {
        type: 'group',
        value: active.map(({ name, scopes, last_used_at, expires_at }) => ({
          ...line(
            `${scopes.join(', ')}; last used ${last_used_at ?? 'never'}` +
              (expires_at ? `; good until ${expires_at}` : ''),
          ),
          name,
          description: null,
        })),
      },
    }
  },
)

const inDays = (days: number) =>
  new Date(Date.now() + days * 86_400_000).toISOString()

const draft = z.strictObject({
  name: z.string().trim().min(1, 'name the program that will use it').max(64),
  scope: z.enum(SCOPES),
  days: z.number().int().min(1).max(3650).nullish(),
})

export const createKey = sdk.Action.withInput(
  'create-api-key',
  {
    ...about,
    name: 'Create an API key',
    description: 'It is shown once; only a digest of it is kept.',
    warning: null,
    visibility: 'enabled',
  },
  InputSpec.of({
    name: Value.text({
      name: 'Name',
      description: 'Which program will use it.',
      required: true,
      default: null,
      maxLength: 64,
      placeholder: 'meeting-recorder',
    }),
    scope: choice(
      {
        gateway: 'Models and services at /v1',
        read: 'Look at the dashboard’s API',
        admin: 'Everything of the dashboard’s API',
      },
      'gateway',
      { name: 'For', description: 'What it opens.' },
    ),
    days: Value.number({
      name: 'Good for',
      description: 'Leave it empty for a key without an end.',
      required: false,
      default: null,
      integer: true,
      min: 1,
      max: 3650,
      units: 'days',
    }),
  }),
  async () => null,
  async ({ input }) => {
    const { name, scope, days } = checked(draft, input, 'key')
    const made = await ask(keyAnswer, PATH, {
      method: 'POST',
      body: {
        name,
        scopes: [scope],
        ...(days ? { expires_at: inDays(days) } : {}),
      },
    })
    return {
      version: '1',
      title: `The key ${made.name}`,
      message: 'Copy it now: it is not shown again.',
      result: line(made.key, { masked: true, copyable: true }),
    }
  },
)

const named = z.strictObject({
  name: z.string().trim().min(1, 'name the key').max(64),
})

export const revokeKey = sdk.Action.withInput(
  'revoke-api-key',
  {
    ...about,
    name: 'Revoke an API key',
    description: 'Programs that use it are refused from the same moment on.',
    warning: 'This cannot be undone.',
    visibility: 'enabled',
  },
  InputSpec.of({
    name: Value.text({
      name: 'Name',
      description: 'As “List API keys” shows it.',
      required: true,
      default: null,
      maxLength: 64,
    }),
  }),
  async () => null,
  async ({ input }) => {
    const { name } = checked(named, input, 'key')
    await ask(z.unknown(), `${PATH}/${encodeURIComponent(name)}`, {
      method: 'DELETE',
    })
    return {
      version: '1',
      title: `${name} was revoked`,
      message: null,
      result: null,
    }
  },
)
