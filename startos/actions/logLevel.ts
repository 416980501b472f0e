import { sdk } from '../sdk'
import { readSections, saveSections, shown } from '../files/config'
import { checked, log } from '../settings/schema'
import { choice } from './fields'

export const logLevel = sdk.Action.withInput(
  'log-level',
  {
    name: 'Log level',
    description: 'How much is logged. The service restarts; engines go on.',
    warning: null,
    allowedStatuses: 'any',
    group: 'Service',
    visibility: 'enabled',
  },
  sdk.InputSpec.of({
    level: choice(
      { debug: 'Debug', info: 'Info', warning: 'Warning', error: 'Error' },
      'info',
      {
        name: 'Level',
        description: 'The least important lines that are written.',
      },
    ),
  }),
  async () => shown(await readSections(), 'log'),
  async ({ input }) => {
    await saveSections({ log: checked(log, input, 'log') })
  },
)
