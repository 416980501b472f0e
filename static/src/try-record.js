// A recording of the microphone as a WAV file: 16 kHz, one channel, which every speech service reads.
// Where a browser gives no microphone (plain http) nothing is offered and the page says why.
(() => {
  "use strict";

  const kit = window.sparkTry;
  const button = kit?.form.querySelector("[data-record]");
  if (!button) return;

  const RATE = 16000;
  const LONGEST = 30 * 60;
  const label = button.querySelector("span");
  const told = kit.form.querySelector("[data-recorded]");
  const can = Boolean(window.isSecureContext && navigator.mediaDevices?.getUserMedia && window.MediaRecorder);
  kit.form.querySelector("[data-record-why]").hidden = can;
  button.disabled = !can;

  // RIFF, PCM, 16 bit.
  const wav = (samples) => {
    const view = new DataView(new ArrayBuffer(44 + samples.length * 2));
    const text = (at, letters) => [...letters].forEach((one, i) => view.setUint8(at + i, one.charCodeAt(0)));
    text(0, "RIFF");
    view.setUint32(4, 36 + samples.length * 2, true);
    text(8, "WAVEfmt ");
    view.setUint32(16, 16, true);
    view.setUint16(20, 1, true);
    view.setUint16(22, 1, true);
    view.setUint32(24, RATE, true);
    view.setUint32(28, RATE * 2, true);
    view.setUint16(32, 2, true);
    view.setUint16(34, 16, true);
    text(36, "data");
    view.setUint32(40, samples.length * 2, true);
    samples.forEach((one, i) => view.setInt16(44 + i * 2, Math.max(-1, Math.min(1, one)) * 32767, true));
    return new File([view], "recording.wav", { type: "audio/wav" });
  };
  const decoded = async (blob) => {
    const context = new OfflineAudioContext(1, RATE, RATE);
    const sound = await context.decodeAudioData(await blob.arrayBuffer());
    const mixed = new OfflineAudioContext(1, Math.max(1, Math.ceil(sound.duration * RATE)), RATE);
    const source = mixed.createBufferSource();
    source.buffer = sound;
    source.connect(mixed.destination);
    source.start();
    return (await mixed.startRendering()).getChannelData(0);
  };

  const why = (error) =>
    ({
      NotAllowedError: "The browser was not allowed to use the microphone.",
      NotFoundError: "This machine has no microphone.",
      NotReadableError: "The microphone is used by another program.",
    })[error.name] || `The microphone could not be used: ${error.message}`;

  let recorder = null;
  const begin = async () => {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    const pieces = [];
    const began = Date.now();
    recorder = new MediaRecorder(stream);
    const clock = setInterval(() => {
      const passed = (Date.now() - began) / 1000;
      told.textContent = `Recording, ${Math.floor(passed)} s`;
      if (passed > LONGEST) recorder?.stop();
    }, 500);
    recorder.addEventListener("dataavailable", (event) => pieces.push(event.data));
    recorder.addEventListener("stop", async () => {
      clearInterval(clock);
      stream.getTracks().forEach((track) => track.stop());
      const type = recorder.mimeType;
      recorder = null;
      label.textContent = "Record";
      told.textContent = "Reading what was recorded.";
      try {
        const samples = await decoded(new Blob(pieces, { type }));
        const file = wav(samples);
        const list = new DataTransfer();
        list.items.add(file);
        kit.field("file").files = list.files;
        told.textContent = `Recorded ${(samples.length / RATE).toFixed(1)} s.`;
        kit.field("file").dispatchEvent(new Event("change", { bubbles: true }));
      } catch (error) {
        told.textContent = "";
        kit.show(new kit.Failure(`The recording cannot be read: ${error.message}`));
      }
    });
    recorder.start(1000);
    label.textContent = "Stop recording";
    told.textContent = "Recording";
  };
  button.addEventListener("click", async () => {
    if (recorder) {
      recorder.stop();
      return;
    }
    kit.clear();
    button.disabled = true;
    try {
      await begin();
    } catch (error) {
      kit.show(new kit.Failure(why(error)));
    } finally {
      button.disabled = false;
    }
  });
})();
