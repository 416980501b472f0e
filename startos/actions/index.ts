import { sdk } from '../sdk'
import { apiKeys, createKey, revokeKey } from './apiKeys'
import { configureServices } from './configureServices'
import { configureSparks } from './configureSparks'
import { limits } from './limits'
import { logLevel } from './logLevel'
import { password } from './password'
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
  .addAction(password)
  .addAction(apiKeys)
  .addAction(createKey)
  .addAction(revokeKey)
  .addAction(publicNames)
  .addAction(logLevel)
