const darkMode = matchMedia('(prefers-color-scheme: dark)');

/** The player of one person or of everybody of a clip; `index` counts the frames that the film shows. */
class View {
  constructor(article) {
    this.article = article;
    this.find = name => article.querySelector(name);
    this.data = JSON.parse(this.find('.data').textContent);
    this.count = this.data.shown.length;
    this.index = 0;
    this.playing = false;
    this.video = this.find('video');
    this.image = this.find('img.video');
    this.reasons = new Map();  // what speaks against a shown frame, or against those next to it that are not shown
    for (const [frame, reason] of this.data.doubts) {
      const index = this.nearestIndex(frame);
      this.reasons.set(index, (this.reasons.get(index) || new Set()).add(reason));
    }
    this.doubtful = [...this.reasons.keys()].sort((a, b) => a - b);
  }

  /** Creates the 3D scene, whose bodies are those of the views of `tracks`. */
  connect(faces, tracks, store) {
    this.store = store;
    const placesOf = body => tracks[body.track].data.places[body.role] || [];
    this.scene = new Scene(this.find('.scene'), this.data, faces, placesOf);
    this.listen();
  }

  listen() {
    const {find} = this;
    find('.play').onclick = () => this.playing ? this.pause() : this.play();
    find('.time').oninput = event => { this.pause(); this.seek(+event.target.value); };
    find('.marks').onclick = event => this.onAxis(event);
    find('.speed').onchange = () => { if (this.video) this.video.playbackRate = +find('.speed').value; };
    find('.error').replaceChildren(...Object.keys(this.data.errors).map(name => new Option(name, name)));
    find('.error').onchange = () => { this.drawErrors(); this.updateStatus(); };
    find('.arrangement').onchange = event => {
      this.scene.arrange(event.target.value);
      find('.floor').hidden = event.target.value !== 'scene';
      this.listShapes();
    };
    for (const button of this.article.querySelectorAll('[data-look]'))
      button.onclick = () => this.scene.look(button.dataset.look);
    for (const button of this.article.querySelectorAll('.step')) button.onclick = () => this.step(+button.dataset.step);
    for (const button of this.article.querySelectorAll('.doubtful')) {
      button.onclick = () => this.stepDoubt(+button.dataset.step);
      button.disabled = !this.doubtful.length;
    }
    for (const button of this.article.querySelectorAll('.seek'))
      button.onclick = () => { this.pause(); this.seek(+button.dataset.at); find('.views').scrollIntoView(); };
    this.listShapes();
    if (this.video) {
      this.video.controls = false;
      this.video.onclick = () => find('.play').click();
      this.video.onerror = () => {
        find('.film figcaption').append(' This browser cannot play the video.');
        this.video = null;
      };
    }
  }

  /** A check box for every kind of body. */
  listShapes() {
    const names = new Map();
    for (const body of this.data.bodies)
      if (this.scene.arrangement === 'scene' || body.key !== 'others') names.set(body.key, body);
    this.find('.shapes').replaceChildren(...[...names.values()].map(body => this.visibilityToggle(body)));
  }

  visibilityToggle(body) {
    const label = document.createElement('label');
    const checkbox = document.createElement('input');
    checkbox.type = 'checkbox';
    checkbox.checked = !this.scene.isHidden(body.key);
    checkbox.onchange = () => this.scene.hide(body.key, !checkbox.checked);
    const dot = document.createElement('span');
    dot.className = 'dot';
    dot.style.background = `var(--${body.color})`;
    label.append(checkbox, ' ', dot, body.name);
    return label;
  }

  async show() {
    this.article.hidden = false;
    await this.scene.load(this.store);
    await this.redraw();
    this.seek(this.index);
  }

  redraw() {
    this.drawErrors();
    return this.scene.draw();
  }

  hide() {
    this.pause();
    Plotly.purge(this.find('.scene'));  // browsers allow few WebGL contexts
    Plotly.purge(this.find('.plot'));
    this.article.hidden = true;
  }

  play() {
    this.playing = true;
    if (this.index === this.count - 1) this.seek(0);
    if (this.video) this.video.play();
    this.clock = this.index;
    this.lastTick = performance.now();
    this.updatePlayButton();
    requestAnimationFrame(now => this.tick(now));
  }

  pause() {
    if (!this.playing) return;
    this.playing = false;
    if (this.video) {
      this.video.pause();
      this.draw(this.videoIndex());  // drawing bodies may lag behind the video
    }
    this.updatePlayButton();
  }

  videoIndex() {
    return Math.min(this.count - 1, Math.floor(this.video.currentTime * this.data.fps + 0.01));
  }

  updatePlayButton() {
    this.find('.play').textContent = this.playing ? 'Pause' : 'Play';
    this.find('.play').setAttribute('aria-pressed', this.playing);
  }

  /** Follows the video, or a clock if there is no video. */
  tick(now) {
    if (!this.playing) return;
    this.clock += (now - this.lastTick) / 1000 * this.data.fps * this.find('.speed').value;
    this.lastTick = now;
    const index = this.video ? this.videoIndex() : Math.floor(this.clock % this.count);
    if (index !== this.index) this.draw(index);
    requestAnimationFrame(next => this.tick(next));
  }

  seek(index) {
    if (this.video) this.video.currentTime = (index + 0.5) / this.data.fps;
    this.draw(index);
  }

  step(change) {
    this.pause();
    this.seek(Math.max(0, Math.min(this.count - 1, this.index + change)));
  }

  /** Goes to the next (1) or previous (-1) doubtful frame, around the end. */
  stepDoubt(direction) {
    if (!this.doubtful.length) return;
    this.pause();
    const later = this.doubtful.filter(index => index > this.index);
    const earlier = this.doubtful.filter(index => index < this.index);
    const ahead = direction > 0 ? later[0] ?? this.doubtful[0] : earlier.at(-1) ?? this.doubtful.at(-1);
    this.seek(ahead);
  }

  onAxis(event) {
    const {left, width} = event.currentTarget.getBoundingClientRect();
    this.pause();
    const share = Math.max(0, Math.min(1, (event.clientX - left) / width));
    this.seek(Math.round(share * (this.count - 1)));
  }

  draw(index) {
    this.index = index;
    this.find('.time').value = index;
    if (this.image) this.image.src = this.data.images[index];
    this.updateStatus();
    this.scene.show(index);
    if (this.find('.plot').data) {
      const frame = this.data.shown[index];
      Plotly.relayout(this.find('.plot'), {'shapes[0].x0': frame, 'shapes[0].x1': frame});
    }
  }

  updateStatus() {
    const frame = this.data.shown[this.index];
    const name = this.find('.error').value;
    const known = Object.entries(this.data.errors[name] || {}).filter(([, values]) => values[frame] !== null);
    const errors = known.map(([key, values]) => `${this.data.lines[key].name} ${values[frame].toFixed(1)}`).join(', ');
    const text = `frame ${frame} of ${this.data.frameIds.length} (${this.data.frameIds[frame]})`
      + (errors && ` · ${name}: ${errors}`);
    this.find('.now').textContent = text;
    const reasons = [...this.reasons.get(this.index) || []].join('; ');
    this.find('.reason').textContent = reasons && `Doubtful: ${reasons}`;
    this.find('.time').setAttribute('aria-valuetext', reasons ? `${text}. Doubtful: ${reasons}` : text);
  }

  drawErrors() {
    const name = this.find('.error').value;
    const lines = Object.entries(this.data.errors[name] || {}).map(([key, y]) => {
      const line = this.data.lines[key];
      const label = line.name.replace(/[<>&]/g, '');  // Plotly reads markup in names
      return {
        type: 'scatter', mode: y.length > 1 ? 'lines' : 'markers', name: label, y, text: this.data.frameIds,
        line: {color: cssColor(line.color), width: 2, dash: line.dashed ? 'dot' : 'solid'},
        hovertemplate: `%{y:.1f} (%{text})<extra>${label}</extra>`,
      };
    });
    const grid = {gridcolor: cssColor('line'), linecolor: cssColor('line'), zeroline: false};
    const frame = this.data.shown[this.index];
    const marker = {
      type: 'line', x0: frame, x1: frame, y0: 0, y1: 1, yref: 'paper', line: {color: cssColor('ink'), width: 1},
    };
    const layout = {
      margin: {l: 56, r: 12, t: 28, b: 40}, paper_bgcolor: cssColor('card'), plot_bgcolor: cssColor('card'),
      font: {color: cssColor('ink'), size: 13}, hovermode: 'x unified', showlegend: true,
      hoverlabel: {bgcolor: cssColor('paper'), bordercolor: cssColor('line'), font: {color: cssColor('ink')}},
      legend: {orientation: 'h', x: 0, y: 1.16},
      xaxis: {...grid, title: {text: 'frame'}}, yaxis: {...grid, title: {text: name}, rangemode: 'tozero'},
      shapes: [marker, ...this.doubtShapes()],
    };
    const options = {displaylogo: false, displayModeBar: false, responsive: true};
    Plotly.react(this.find('.plot'), lines, layout, options).then(plot => {
      plot.removeAllListeners('plotly_click');
      plot.on('plotly_click', event => { this.pause(); this.seek(this.nearestIndex(event.points[0].x)); });
    });
  }

  /** Bands behind the lines, one for every run of doubtful frames. */
  doubtShapes() {
    const shapes = [];
    for (const frame of [...new Set(this.data.doubts.map(([frame]) => frame))].sort((a, b) => a - b)) {
      const last = shapes.at(-1);
      if (last && last.x1 === frame - 0.5) last.x1 = frame + 0.5;
      else shapes.push({
        type: 'rect', x0: frame - 0.5, x1: frame + 0.5, y0: 0, y1: 1, yref: 'paper', layer: 'below',
        fillcolor: cssColor('doubt'), opacity: 0.16, line: {width: 0},
      });
    }
    return shapes;
  }

  nearestIndex(frame) {
    const distances = this.data.shown.map(shown => Math.abs(shown - frame));
    return distances.indexOf(Math.min(...distances));
  }
}

/** Light or dark: as the browser prefers, until the button is pressed. */
function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === 'dark' : darkMode.matches;
}

function listenToTheme(redraw) {
  const button = document.getElementById('theme');
  const update = () => { button.textContent = isDark() ? 'Light' : 'Dark'; redraw(); };
  button.onclick = () => {
    document.documentElement.dataset.theme = isDark() ? 'light' : 'dark';
    update();
  };
  darkMode.addEventListener('change', update);
  button.hidden = false;
  button.textContent = isDark() ? 'Light' : 'Dark';
}

/** The keys of the page, except where an element has its own use for them. */
function listenToKeys(current, chooser) {
  const change = step => {
    chooser.selectedIndex = (chooser.selectedIndex + step + chooser.length) % chooser.length;
    chooser.dispatchEvent(new Event('change'));
  };
  const actions = {
    ' ': view => view.find('.play').click(), ArrowLeft: view => view.step(-1), ArrowRight: view => view.step(1),
    PageUp: view => view.step(-10), PageDown: view => view.step(10), Home: view => view.step(-Infinity),
    End: view => view.step(Infinity), n: view => view.stepDoubt(1), p: view => view.stepDoubt(-1),
    t: () => document.getElementById('theme').click(), '[': () => change(-1), ']': () => change(1),
  };
  document.addEventListener('keydown', event => {
    if (event.ctrlKey || event.metaKey || event.altKey || !current()) return;
    const action = actions[event.key];
    const letter = event.key.length === 1 && event.key !== ' ';
    const busy = event.target.closest('select, input, .scroll, .doubts ul') || (event.key === ' '
      && event.target.closest('button, summary, video'));
    if (!action || (busy && !(letter && !event.target.closest('select')))) return;
    event.preventDefault();
    action(current());
  });
}

async function start() {
  const {faces} = JSON.parse(document.getElementById('common').textContent);
  const store = new BodyStore([...document.querySelectorAll('.mesh')]);
  const views = [...document.querySelectorAll('.view')].map(article => new View(article));
  const numberOfTracks = new Set([...document.querySelectorAll('.mesh')].map(element => element.dataset.track)).size;
  const tracks = views.slice(views.length - numberOfTracks);
  views.forEach(view => { view.connect(faces, tracks, store); view.article.hidden = true; });
  const script = document.createElement('script');
  script.textContent = new TextDecoder().decode(await inflate(document.getElementById('plotly').textContent));
  document.head.append(script);
  const chooser = document.getElementById('chosen');
  let current = null;
  const choose = async () => {
    if (current) current.hide();
    current = views[+chooser.value];
    if (current) await current.show();
  };
  chooser.onchange = choose;
  const redraw = () => { if (current && current.scene.frames) current.redraw(); };
  listenToTheme(redraw);
  listenToKeys(() => current, chooser);
  addEventListener('resize', redraw);
  await choose();
  document.documentElement.dataset.ready = 'yes';
}

start().catch(error => {
  const problem = document.getElementById('problem');
  problem.textContent = `The 3D player and the plots do not work in this browser: ${error.message}`;
  problem.hidden = false;
  document.querySelectorAll('.view').forEach(article => { article.hidden = false; });
  throw error;
});
