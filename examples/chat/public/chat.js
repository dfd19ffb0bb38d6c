import { io } from '/socket.io/socket.io.esm.min.js';

const byId = (id) => document.getElementById(id);
const [state, transport, server] = ['state', 'transport', 'server'].map(byId);
const [log, form, name, message] = ['log', 'form', 'name', 'message'].map(byId);
const [send, connection] = ['send', 'connection'].map(byId);

const own = new Set();
let servers = [];
let answeredBy;

name.value =
  window.sessionStorage.getItem('name') ?? `Guest ${String(Math.ceil(Math.random() * 99))}`;
name.addEventListener('change', () => window.sessionStorage.setItem('name', name.value));

const socket = io();

socket.on('connect', () => {
  showState('connected');
  showTransport();
  socket.io.engine.on('upgrade', showTransport);
});

socket.on('welcome', ({ server: current }) => {
  if (answeredBy === undefined) notice(`connected to ${current}`);
  else if (answeredBy === current) notice(`connected to ${current} again`);
  else notice(`now on ${current}, before on ${answeredBy}`);
  answeredBy = current;
  showServers();
});

socket.on('servers', (known) => {
  servers = known;
  showServers();
});

socket.on('hellopush', (push) => {
  const author = element('span', { className: 'author' });
  author.append(own.has(push.id) ? 'you' : push.name, ' on ', serverName(push.server));
  const item = element('li', { className: own.has(push.id) ? 'mine' : '' });
  item.classList.add(push.server);
  item.append(author, push.message);
  append(item);
});

socket.on('disconnect', (reason) => {
  const wanted = reason === 'io client disconnect';
  showState(wanted ? 'disconnected' : 'lost');
  notice(wanted ? 'disconnected' : `connection lost (${reason})`);
  showTransport();
  showServers();
});

form.addEventListener('submit', (event) => {
  event.preventDefault();
  const id = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}`;
  own.add(id);
  const said = { id, name: name.value, message: message.value };
  socket.timeout(10_000).emit('helloevent', said, (error, answer) => {
    if (error !== null || !answer.ok) notice(`perhaps not delivered: ${said.message}`);
  });
  message.value = '';
  message.focus();
});

connection.addEventListener('click', () => {
  if (socket.active) {
    socket.disconnect();
    showState('disconnected');
  } else {
    showState('connecting');
    socket.connect();
  }
});

function showState(current) {
  const words = { connecting: 'connecting…', lost: 'reconnecting…' };
  state.dataset.state = current;
  state.textContent = words[current] ?? current;
  send.disabled = current !== 'connected';
  connection.textContent = socket.active ? 'Disconnect' : 'Connect';
}

function showTransport() {
  transport.textContent = socket.connected ? socket.io.engine.transport.name : '–';
}

function showServers() {
  const mine = socket.connected ? answeredBy : undefined;
  server.replaceChildren(mine === undefined ? '–' : serverName(mine));
  byId('servers').replaceChildren(
    ...servers.map(({ name: id, up, pid }) => {
      const item = element('li', { className: id });
      item.classList.toggle('down', !up);
      item.classList.toggle('mine', id === mine);
      const words = socket.connected ? stateOf(id, up) : '';
      item.append(element('strong', { textContent: id }), ` ${words}`);
      if (up) {
        item.append(element('br'), element('code', { textContent: `kill ${String(pid)}` }));
      }
      return item;
    }),
  );
}

function stateOf(id, up) {
  if (!up) return 'is down, comes back soon';
  return id === answeredBy ? 'serves you' : 'serves';
}

function serverName(id) {
  return element('b', { className: id, textContent: id });
}

function notice(text) {
  append(element('li', { className: 'notice', textContent: text }));
}

/** Adds a line and keeps the newest in sight, unless the reader has scrolled up. */
function append(item) {
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  log.append(item);
  if (atEnd) log.scrollTop = log.scrollHeight;
}

function element(tag, properties = {}) {
  return Object.assign(document.createElement(tag), properties);
}
