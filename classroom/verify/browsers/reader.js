// Measures each second what arrives from every other participant: the frame in the remote video element and the tones in
// the stream of the remote audio element. Returns one object per second: {participant: {picture, tones, levels}}.
// Measuring starts when all participants in `names` have been heard, or after `patience` seconds: audio starts after video.
// Without an audio device, Firefox starts no AudioContext: it records and decodes the sound of each second instead.
async ({names, seconds, tones, patience}) => {
  const canvas = document.createElement("canvas");
  canvas.width = 160;
  canvas.height = 90;
  const pen = canvas.getContext("2d", {willReadFrequently: true});
  const context = new AudioContext();
  await Promise.race([context.resume(), new Promise(resolve => setTimeout(resolve, 500))]);
  const recording = context.state !== "running";
  const listeners = new Map();

  const listen = () => {
    for (const audio of document.querySelectorAll("audio[data-participant]")) {
      const stream = audio.srcObject;
      if (!stream || listeners.get(audio)?.stream === stream) continue;
      const name = audio.dataset.participant;
      if (recording) {
        listeners.set(audio, {stream, name});
        continue;
      }
      const analyser = context.createAnalyser();
      analyser.fftSize = 4096;
      analyser.smoothingTimeConstant = 0;
      context.createMediaStreamSource(stream).connect(analyser);
      listeners.set(audio, {stream, name, analyser});
    }
  };

  // Reads the middle of each cell; returns [mark, number], or null if the third row is not the complement of the second.
  const read = video => {
    if (!video.videoWidth) return null;
    pen.drawImage(video, 0, 0, 160, 90);
    const data = pen.getImageData(0, 0, 160, 90).data;
    const row = r => {
      let value = 0;
      for (let cell = 0; cell < 8; cell++) {
        let sum = 0;
        for (let y = r * 30 + 10; y < r * 30 + 20; y++) for (let x = cell * 20 + 6; x < cell * 20 + 14; x++) sum += data[(y * 160 + x) * 4 + 1];
        value = value * 2 + (sum / 80 > 125 ? 1 : 0);
      }
      return value;
    };
    const number = row(1);
    return row(2) === 255 - number ? [row(0), number] : null;
  };

  // Returns the level of each tone (dBFS) in the sound that arrives now.
  const analysed = ({analyser}) => {
    const spectrum = new Float32Array(analyser.frequencyBinCount);
    analyser.getFloatFrequencyData(spectrum);
    const bin = tone => Math.round((tone * analyser.fftSize) / context.sampleRate);
    return tones.map(tone => Math.max(...[-1, 0, 1].map(k => spectrum[bin(tone) + k])));
  };

  // Starts to record a sound; the function that it returns ends that, and returns the levels of each tone in each 85 ms.
  const record = ({stream}) => {
    const parts = [];
    const recorder = new MediaRecorder(new MediaStream(stream.getAudioTracks()));
    recorder.ondataavailable = event => parts.push(event.data);
    recorder.start();
    return async () => {
      const stopped = new Promise(resolve => (recorder.onstop = resolve));
      recorder.stop();
      await stopped;
      const data = await new Blob(parts).arrayBuffer();
      const sound = data.byteLength ? await new OfflineAudioContext(1, 1, 48000).decodeAudioData(data) : null;
      const samples = sound?.getChannelData(0) ?? [];
      const found = [];
      for (let from = 0; from + 4096 <= samples.length; from += 4096) found.push(tones.map(tone => level(samples.slice(from, from + 4096), tone)));
      return found;
    };
  };

  // Returns the level of one tone (dBFS) in samples at 48 kHz, weighted by a Hann window.
  const level = (samples, tone) => {
    let cosine = 0;
    let sine = 0;
    samples.forEach((sample, n) => {
      const weighted = sample * (1 - Math.cos((2 * Math.PI * n) / samples.length));
      cosine += weighted * Math.cos((2 * Math.PI * tone * n) / 48000);
      sine += weighted * Math.sin((2 * Math.PI * tone * n) / 48000);
    });
    return 20 * Math.log10((2 * Math.hypot(cosine, sine)) / samples.length + 1e-9);
  };

  const heardOnce = new Set();
  const found = [];
  const start = performance.now();
  // Notes the level of each tone, and the tone that is far louder than all others.
  const note = (now, name, levels) => {
    tones.forEach((tone, n) => (now.levels[tone] = Math.round(Math.max(now.levels[tone] ?? -999, levels[n]))));
    const [first, second] = [...levels].sort((a, b) => b - a);
    if (first <= -60 || first <= second + 15) return;
    const heard = tones[levels.indexOf(first)];
    now.tones[heard] = (now.tones[heard] ?? 0) + 1;
    heardOnce.add(name);
  };

  while (found.length < seconds) {
    const counting = names.every(name => heardOnce.has(name)) || performance.now() - start > patience * 1000;
    const second = {};
    const of = name => (second[name] ??= {picture: null, tones: {}, levels: {}});
    const end = performance.now() + (counting ? 1000 : recording ? 500 : 100);
    const recordings = new Map();
    let sample = 0;
    do {
      listen();
      for (const listener of listeners.values()) {
        if (!listener.stream.active) continue;
        if (!recording) note(of(listener.name), listener.name, analysed(listener));
        else if (!recordings.has(listener)) recordings.set(listener, record(listener));
      }
      if (sample++ % 4 === 0)
        for (const video of document.querySelectorAll('video[data-local="false"][data-source="camera"]')) {
          const picture = read(video);
          if (picture) of(video.dataset.participant).picture = picture;
        }
      await new Promise(resolve => setTimeout(resolve, 45));
    } while (performance.now() < end);
    for (const [listener, stop] of recordings) for (const levels of await stop()) note(of(listener.name), listener.name, levels);
    if (counting) found.push(second);
  }
  await context.close();
  return found;
}
