import { sdk } from '../sdk'
import { configureServices } from './configureServices'
import { configureSparks } from './configureSparks'
import { limits } from './limits'
import { logLevel } from './logLevel'
import { publicNames } from './publicNames'
import { showStatus } from './showStatus'
import { sshKey } from './sshKey'
import { testConnection } from './testConnection'

export const actions = sdk.Actions.of()
  .addAction(configureSparks)
  .addAction(sshKey)
  .addAction(configureServices)
  .addAction(testConnection)
  .addAction(limits)
  .addAction(showStatus)
  .addAction(publicNames)
  .addAction(logLevel)
