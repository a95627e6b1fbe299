import test from 'node:test';
import assert from 'node:assert/strict';
import { fields, forFFmpeg, forOBS } from '../encoders.js';

const base = 'http://192.168.1.5:8080/';

test('OBS asks for a server and a stream key', () => {
  assert.deepEqual(fields('rtmp://127.0.0.1:1935/live/YOUR-KEY'), { server: 'rtmp://127.0.0.1:1935/live', key: 'YOUR-KEY' });
  assert.deepEqual(fields('rtmp://127.0.0.1:1935/live/1080p/YOUR-KEY'), { server: 'rtmp://127.0.0.1:1935/live', key: '1080p/YOUR-KEY' });
  assert.deepEqual(fields('rtmp://127.0.0.1:1935/elsewhere'), { server: 'rtmp://127.0.0.1:1935/elsewhere', key: '' });
});

test('addresses are where the page is, if the node listens everywhere', () => {
  const all = forOBS({ rtmp: 'rtmp://0.0.0.0:1935/live/YOUR-KEY', srt: 'srt://[::]:8890?streamid=publish:YOUR-KEY' }, base);
  assert.deepEqual(all.map(([name, rows]) => [name, rows[1][1], rows[2][1]]), [
    ['OBS Studio, over RTMP', 'rtmp://192.168.1.5:1935/live', 'YOUR-KEY'],
    ['OBS Studio, over SRT', 'srt://192.168.1.5:8890?streamid=publish:YOUR-KEY', '(leave it empty)'],
  ]);
  assert.deepEqual(forFFmpeg({ rtmp: 'rtmp://127.0.0.1:1935/live/main', srt: 'srt://127.0.0.1:8890?streamid=publish:main' }, base).map(x => x[2]), [
    '-f flv "rtmp://127.0.0.1:1935/live/main"', '-f mpegts "srt://127.0.0.1:8890?streamid=publish:main&pkt_size=1316"',
  ]);
  assert.deepEqual([forOBS({}, base), forFFmpeg({}, base)], [[], []]);
});
