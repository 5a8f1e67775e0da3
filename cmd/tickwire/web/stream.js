/** The stream beside this page, also behind a proxy that puts it under a path. */
export function streamURL() {
  const url = new URL('v1/stream', location.href);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  url.hash = url.search = '';
  return url.href;
}
