import {
  ask,
  currentAnswer,
  hostsAnswer,
  notReady,
  servicesAnswer,
} from '../app/client'
import { engineVerdict } from '../app/verdicts'
import { sdk } from '../sdk'

const row = (name: string, value: string) => ({
  type: 'single' as const,
  name,
  description: null,
  value,
  copyable: false,
  qr: false,
  masked: false,
})

const member = ({
  name,
  health,
  reason,
}: {
  name: string
  health: string
  reason?: string | null
}) => row(name, reason ? `${health}: ${reason}` : health)

const group = (name: string, value: ReturnType<typeof row>[]) => ({
  type: 'group' as const,
  name,
  description: null,
  value: value.length ? value : [row('None', 'none configured')],
})

export const showStatus = sdk.Action.withoutInput(
  'show-status',
  {
    name: 'Show status',
    description: 'What is served, how the Sparks and the services are.',
    warning: null,
    allowedStatuses: 'only-running',
    group: 'Service',
    visibility: 'enabled',
  },
  async () => {
    const [missing, { hosts, problems }, current, { services }] =
      await Promise.all([
        notReady(),
        ask(hostsAnswer, '/api/v1/hosts'),
        ask(currentAnswer, '/api/v1/swaps/current'),
        ask(servicesAnswer, '/api/v1/services'),
      ])
    return {
      version: '1',
      title: 'Status',
      message: problems.length ? `Settings not taken: ${problems[0]}` : null,
      result: {
        type: 'group',
        value: [
          row('Spark Control', missing ?? 'ready'),
          row('Model', engineVerdict(current).message),
          group('Sparks', hosts.map(member)),
          group('Services', services.map(member)),
        ],
      },
    }
  },
)
