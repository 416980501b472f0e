/** What the marketplace shows: at most 80 and 500 characters. */
export const short = {
  en_US: 'Run and share a small AI cluster of NVIDIA DGX Sparks',
}

export const long = {
  en_US:
    'Spark Control is the control plane of one to eight NVIDIA DGX Sparks. It changes the model ' +
    'they serve over SSH and proves that it answers, or brings the previous one back; shows memory, ' +
    'temperature and health; and gives people and programs one address: a dashboard, a JSON API and ' +
    'an OpenAI-compatible /v1. It installs nothing on a Spark.',
}
