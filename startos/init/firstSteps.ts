import { configureServices } from '../actions/configureServices'
import { configureSparks } from '../actions/configureSparks'
import { sshKey } from '../actions/sshKey'
import { sdk } from '../sdk'

/** What a new owner does first. A task goes away when its action is run; nothing has to be done. */
export const firstSteps = sdk.setupOnInit(async (effects, kind) => {
  if (kind !== 'install') return
  await sdk.action.createOwnTask(effects, configureSparks, 'important', {
    reason: 'Say where your Sparks are',
  })
  await sdk.action.createOwnTask(effects, sshKey, 'important', {
    reason:
      'Put the public key on your Sparks, so that Spark Control may log in',
  })
  await sdk.action.createOwnTask(effects, configureServices, 'optional', {
    reason: 'Name the services beside the model, if there are any',
  })
})
