import { sdk } from '../sdk'
import { readSections, saveSections, shown } from '../files/config'
import { checked, web } from '../settings/schema'
import { PATTERNS } from '../settings/values'
import { texts } from './fields'

export const publicNames = sdk.Action.withInput(
  'public-names',
  {
    name: 'Public names',
    description:
      'Public domains under which browsers reach the dashboard. Addresses of your network (IP, .local, .onion) always work.',
    warning: null,
    allowedStatuses: 'any',
    group: 'Service',
    visibility: 'enabled',
  },
  sdk.InputSpec.of({
    allowed_hosts: texts(PATTERNS.publicName, {
      name: 'Names',
      description: 'Domains of yours that lead here; * allows every name.',
      placeholder: 'spark.example.org',
    }),
  }),
  async () => shown(await readSections(), 'web'),
  async ({ input }) => {
    await saveSections({ web: checked(web, input, 'web') })
  },
)
