import { ask, checkAnswer, hostsAnswer } from '../app/client'
import { sdk } from '../sdk'

/** The doctor gives up on a silent host by itself; this is longer. */
const SECONDS = 120

const MARKS: Record<string, string> = {
  ok: '✓',
  info: 'ℹ',
  warning: '⚠',
  error: '✗',
  unknown: '?',
}

const told = (title: string, value: string) => ({
  type: 'single' as const,
  name: title,
  description: null,
  value,
  copyable: false,
  qr: false,
  masked: false,
})

async function look(name: string) {
  try {
    const { ok, findings } = await ask(
      checkAnswer,
      `/api/v1/hosts/${encodeURIComponent(name)}/check`,
      { method: 'POST', seconds: SECONDS },
    )
    const lines = findings.map(
      ({ severity, message, advice }) =>
        `${MARKS[severity] ?? '?'} ${message}${advice ? ` → ${advice}` : ''}`,
    )
    return { name, ok, lines }
  } catch (error) {
    const line = error instanceof Error ? error.message : String(error)
    return { name, ok: false, lines: [`${MARKS.unknown} ${line}`] }
  }
}

export const testConnection = sdk.Action.withoutInput(
  'test-connection',
  {
    name: 'Test connection',
    description:
      'Looks at SSH, the host key, docker, the driver, disks and interfaces of every Spark. Changes nothing.',
    warning: null,
    allowedStatuses: 'only-running',
    group: 'Cluster',
    visibility: 'enabled',
  },
  async () => {
    const { hosts, problems } = await ask(hostsAnswer, '/api/v1/hosts')
    if (problems.length)
      throw new Error(`The settings are not in force: ${problems[0]}`)
    if (!hosts.length)
      throw new Error('No Spark is configured: run Configure Sparks first.')
    const looks = await Promise.all(hosts.map(({ name }) => look(name)))
    const bad = looks.filter(({ ok }) => !ok).map(({ name }) => name)
    return {
      version: '1',
      title: bad.length ? 'Something is in the way' : 'All Sparks are fine',
      message: bad.length ? `Look at: ${bad.join(', ')}` : null,
      result: {
        type: 'group',
        value: looks.map(({ name, ok, lines }) => ({
          type: 'group' as const,
          name,
          description: ok ? 'Fine' : 'Needs attention',
          value: lines.map((line, at) => told(`${at + 1}`, line)),
        })),
      },
    }
  },
)
