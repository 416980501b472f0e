import { ask, currentAnswer, hostsAnswer, notReady } from './app/client'
import { Verdict, engineVerdict, hostsVerdict } from './app/verdicts'
import { dataMount } from './container'
import { configYaml } from './files/config'
import { storeJson } from './files/store'
import { sdk } from './sdk'
import { DATA, IMAGE, RUN_AS, UI_PORT } from './shared'

export const main = sdk.setupMain(async ({ effects }) => {
  // Hosts, services and limits are taken up by the running app; these two are read at its start.
  // A config.yaml that is not YAML is the app's to refuse: it names the line.
  await configYaml
    .read((settings) => settings.log)
    .const(effects)
    .catch(() => null)
  await storeJson.read((store) => store.publicKey).const(effects)

  const app = sdk.SubContainer.of(
    effects,
    { imageId: IMAGE },
    dataMount(),
    'app',
  )

  return sdk.Daemons.of(effects)
    .addOneshot('own-data', {
      subcontainer: app,
      // A volume is root's at first, and so are files that StartOS restored.
      exec: { command: ['chown', '-R', RUN_AS, DATA], user: 'root' },
      requires: [],
    })
    .addDaemon('primary', {
      subcontainer: app,
      exec: {
        command: sdk.useEntrypoint([
          'serve',
          '--host',
          '0.0.0.0',
          '--port',
          String(UI_PORT),
          '--data',
          DATA,
        ]),
        user: RUN_AS,
      },
      ready: {
        display: 'Dashboard and API',
        gracePeriod: 30_000,
        fn: async () => {
          const missing = await notReady()
          return missing === null
            ? { result: 'success', message: 'Ready' }
            : { result: 'failure', message: missing }
        },
      },
      requires: ['own-data'],
    })
    .addHealthCheck('hosts', {
      ready: {
        display: 'Sparks',
        fn: () =>
          seen(async () =>
            hostsVerdict(await ask(hostsAnswer, '/api/v1/hosts')),
          ),
      },
      requires: ['primary'],
    })
    .addHealthCheck('engine', {
      ready: {
        display: 'Model',
        fn: () =>
          seen(async () =>
            engineVerdict(await ask(currentAnswer, '/api/v1/swaps/current')),
          ),
      },
      requires: ['primary'],
    })
})

/** An app that does not answer is the first row's business; here it is only not known. */
async function seen(look: () => Promise<Verdict>): Promise<Verdict> {
  try {
    return await look()
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    return { result: 'loading', message: `Not known: ${reason}` }
  }
}
