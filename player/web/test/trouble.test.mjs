// Each fault has its sentence and something to do, and who is well hears nothing: node --test trouble.test.mjs
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { troubles } from '../trouble.js';

const well = {
  role: 'viewer', state: 'live', reason: 'Live, 0.1 s behind', silent_s: 0.1, peers: [{ id: 'a' }], blocks: { verified: 9, rejected: 0 }, refused: [], faults: [], notes: [],
  upload: { uplink_bps: 20e6 }, renditions: [{ bitrate_bps: 4e6 }], note_expires: new Date(Date.now() + 80 * 86400e3).toISOString(),
};
const streamer = { ...well, role: 'streamer', ingest: { input: 'x', warnings: [] } };
const ids = (status, page) => troubles(status, page).map(t => t.id);

test('who is well hears nothing', () => {
  assert.deepEqual(ids(well, { phase: 'playing', stalls: 1, dropped: 0.01 }), []);
  assert.deepEqual(ids(streamer), []);
  assert.deepEqual(ids(undefined), []);
  assert.deepEqual(ids({ ...well, state: 'waiting', peers: [] }, { waited: 1 }), [], 'who has just begun to look');
  assert.deepEqual(ids({ ...well, state: 'ended', silent_s: 900 }), []);
});

// [what is wrong, the status, what the page sees, id, what the sentence says, what helps]
const faults = [
  ['no contact', null, {}, 'contact', /does not answer/, /Start it again/],
  ['no peers', { ...well, state: 'waiting', peers: [], reason: '192.0.2.1:4433 does not answer; trying again in 2 s' }, {}, 'peers', /Nobody.*192\.0\.2\.1:4433 does not answer/, /UDP/],
  ['all peers gone', { ...well, peers: [], silent_s: 2.1, flow: 'the streamer 192.0.2.1:4433 has stopped' }, {}, 'peers', /has stopped/, /on air/],
  ['source gone', { ...well, state: 'stalled', silent_s: 8, reason: 'connected to the viewer a, which itself receives nothing' }, {}, 'source', /Nothing new has come for 8 s\. Connected to the viewer/, /by itself/],
  ['source just gone', { ...well, silent_s: 1.8, flow: 'connected to the relay a, which has sent nothing new for 2 s' }, {}, 'source', /Nothing new/, /timeline/],
  ['nothing to show', well, { phase: 'buffering', starving: 2 }, 'source', /Nothing new/, /by itself/],
  ['codec', well, { phase: 'refused', trouble: 'This browser cannot decode H.265 (HEVC).' }, 'codec', /H\.265/, /mpv or VLC/],
  ['clock slow', { ...well, clock_error_s: 300 }, {}, 'clock', /5 min slow/, /Set it/],
  ['clock fast', { ...well, clock_error_s: -40 }, {}, 'clock', /40 s fast/, /Set it/],
  ['clock of the broadcast', { ...well, state: 'stalled', silent_s: 0, reason: 'The clock of the broadcast is 5 minutes ahead of ours: cannot tell whether it is live' }, {}, 'clock', /ahead of ours/, /Set the clock/],
  ['disk full', { ...well, disk_error: 'write /data/a/b/main/payload/0: no space left on device' }, {}, 'disk', /write …\/payload\/0: no space left on device\.$/, /Make room/],
  ['window short', { ...well, history: { no_room: true } }, {}, 'room', /disk is full/, /--window/],
  ['slow uplink', { ...well, upload: { uplink_bps: 1e6 } }, {}, 'uplink', /1\.0\sMbit\/s up/, /--up/],
  ['capped uplink', { ...well, upload: { limit_bps: 1e6, uplink_bps: 50e6 } }, {}, 'uplink', /1\.0\sMbit\/s up/, /--up/],
  ['slow uplink of a streamer', { ...streamer, upload: { uplink_bps: 5e6 } }, {}, 'uplink', /9\.0\sMbit\/s are needed/, /--copies 1/],
  ['stripes without sender', { ...well, notes: ['3 of 8 stripes have no sender: the channel needs a relay, or a lower rendition'] }, {}, 'note-0', /^3 of 8 stripes/, /^$/],
  ['bad blocks', { ...well, blocks: { verified: 9, rejected: 2 }, refused: [{ role: 'viewer', addr: '192.0.2.9:1', why: 'misbehaved (payload)' }] }, {}, 'refused', /2 blocks did not verify.*viewer 192\.0\.2\.9:1 misbehaved/, /Nothing of that was shown/],
  ['fork', { ...well, faults: [{ reason: 'two heads of size 7' }] }, {}, 'fault', /two heads of size 7/, /proved/],
  ['stalls', well, { phase: 'playing', stalls: 4 }, 'stalls', /4 times/, /further behind/],
  ['slow uplink of a streamer of two renditions', { ...streamer, upload: { uplink_bps: 10e6 }, renditions: [{ bitrate_bps: 4e6 }, { bitrate_bps: 1e6 }] }, {}, 'uplink', /11\.3\sMbit\/s are needed for two copies of these 2 renditions/, /--copies 1/],
  ['slow uplink for a lower rendition', { ...well, upload: { uplink_bps: 1e6 }, renditions: [{ bitrate_bps: 1e6 }, { bitrate_bps: 4e6, chosen: true }] }, {}, 'uplink', /less than half/, /--up/],
  ['a lower rendition', well, { phase: 'playing', stalls: 9, lower: { id: 'lower', tone: 'note', what: 'Your line did not carry it.', todo: 'Go back.' } }, 'lower', /did not carry/, /Go back/],
  ['slow computer', well, { phase: 'playing', dropped: 0.4 }, 'frames', /60 %/, /mpv/],
  ['no encoder', { ...streamer, state: 'starting', reason: 'waiting for media from an encoder' }, {}, 'encoder', /waiting for media/, /settings below/],
  ['long GOP', { ...streamer, ingest: { warnings: [{ id: 'gop', what: 'keyframes are up to 10.0 s apart', todo: 'set the keyframe interval' }] } }, {}, 'input-gop', /^Keyframes are up to 10\.0 s apart\.$/, /^Set the keyframe interval\.$/],
  ['long GOP of one rendition', { ...streamer, inputs: [{ rendition: 'high', warnings: null }, { rendition: 'low', warnings: [{ id: 'gop', what: 'keyframes are up to 10.0 s apart', todo: 'set it' }] }] }, {}, 'input-low-gop', /^low: keyframes are up to 10\.0 s apart\.$/, /^Set it\.$/],
  ['note ends', { ...streamer, note_expires: new Date(Date.now() + 3.5 * 86400e3).toISOString() }, {}, 'note-ends', /3 days/, /streamer key renew/],
];
for (const [name, status, page, id, what, todo] of faults) {
  test(name, () => {
    const list = troubles(status, page);
    assert.deepEqual(list.map(t => t.id), [id], JSON.stringify(list));
    assert.match(list[0].what, what);
    assert.match(list[0].todo, todo);
    assert.ok(['bad', 'note'].includes(list[0].tone));
  });
}
