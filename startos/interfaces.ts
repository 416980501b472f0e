import { sdk } from './sdk'
import { UI_PORT } from './shared'

/** One address for all: the dashboard at /, the JSON API at /api/v1, OpenAI clients at /v1. */
export const setInterfaces = sdk.setupInterfaces(async ({ effects }) => {
  const host = sdk.MultiHost.of(effects, 'ui-multi')
  const origin = await host.bindPort(UI_PORT, {
    protocol: 'http',
    preferredExternalPort: UI_PORT,
  })
  const ui = sdk.createInterface(effects, {
    name: 'Dashboard and API',
    id: 'ui',
    description:
      'The dashboard; the JSON API under /api/v1; the OpenAI-compatible API under /v1',
    type: 'ui',
    masked: false,
    schemeOverride: null,
    username: null,
    path: '',
    query: {},
  })
  return [await origin.export([ui])]
})
