// What to type into encoders that send by RTMP or SRT.

// address is where an encoder can send to, by the name by which this page has reached the node if that listens everywhere.
export const address = (url, base) => url?.replace(/\/\/(\[::\]|0\.0\.0\.0)(?=[:/])/, () => `//${new URL(base).hostname}`);

// fields are what OBS calls "Server" and "Stream Key": all behind /live.
export function fields(rtmp) {
  const at = rtmp.indexOf('/live/');
  return at < 0 ? { server: rtmp, key: '' } : { server: rtmp.slice(0, at + 5), key: rtmp.slice(at + 6) };
}

// OBS has it in Settings → Stream; the encoder in Settings → Output.
export const OBS_HOW = 'Settings → Stream, and Settings → Output; then “Start Streaming”.';

// forOBS is what there is to fill in, name and value.
export function forOBS(push, base) {
  const out = [], encoder = [['Keyframe Interval', '1 s'], ['Video Bitrate', '4000 Kbps'], ['Audio Bitrate', '128']];
  for (const [name, url] of [['RTMP', push.rtmp], ['RTMPS', push.rtmps]]) {
    if (!url) continue;
    const { server, key } = fields(address(url, base));
    out.push([`OBS Studio, over ${name}`, [['Service', 'Custom…'], ['Server', server], ['Stream Key', key], ...encoder]]);
  }
  if (push.srt) out.push(['OBS Studio, over SRT', [['Service', 'Custom…'], ['Server', address(push.srt, base)], ['Stream Key', '(leave it empty)'], ...encoder]]);
  return out;
}

// forFFmpeg is where ffmpeg sends to: name, identifier, and the end of its command.
export function forFFmpeg(push, base) {
  const out = [];
  if (push.rtmp) out.push(['ffmpeg, over RTMP', 'ff-rtmp', `-f flv "${address(push.rtmp, base)}"`]);
  if (push.srt) out.push(['ffmpeg, over SRT', 'ff-srt', `-f mpegts "${address(push.srt, base)}&pkt_size=1316"`]);
  return out;
}
