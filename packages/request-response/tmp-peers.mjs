import http from 'node:http'; import express from 'express';
const menu=JSON.parse(process.env.MENU);
let s;
if(process.argv[2]==='bare'){const b=Buffer.from(JSON.stringify(menu)); s=http.createServer((q,r)=>{r.writeHead(200,{'Content-Type':'application/json','Content-Length':b.length});r.end(b)});}
else {const a=express(); a.get('/menu',(q,r)=>{r.json(menu)}); s=http.createServer(a);}
s.listen(0,'127.0.0.1',()=>console.log('listening on http://127.0.0.1:'+s.address().port));
process.on('SIGTERM',()=>{const c=process.cpuUsage();console.log((c.user+c.system)/1e6);process.exit()});
