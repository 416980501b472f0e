/**
 * What the package and the app must say alike: the port, the places, the user. The app's side is
 * in server/config/paths.py and in the image; tests/startos compares them.
 */
export const PACKAGE_ID = 'spark-control'
export const IMAGE = 'app'
export const PROGRAM = 'spark-control'
export const UI_PORT = 9999
/** Where the image has its data directory. */
export const DATA = '/data'
/** Where the scripts of assets/ are seen inside a container. */
export const ASSETS = '/package'
/** The user of the image; a number, so that no name has to agree. */
export const OWNER = { uid: 1000, gid: 1000 } as const
export const RUN_AS = `${OWNER.uid}:${OWNER.gid}`

/** Files of the data directory. */
export const CONFIG = 'config.yaml'
export const DATABASE = 'spark-control.db'
export const DATABASE_COPY = 'spark-control.db.backup'
export const TMP = 'tmp'
/** What the running app leaves for those who may read its data: it opens its API to them. */
export const LOCAL_TOKEN = 'local.token'
/** The hash of the dashboard's password. */
export const PASSWORD = 'password'

/**
 * The project's public home. It has none yet: this one name is to be set before a release (see
 * UPDATING.md); `.invalid` can never be anybody else's.
 */
export const PUBLIC_ADDRESS = 'https://spark-control.invalid'
