"use strict";(()=>{var T="MOBAVATR";var b={gaussians:"uint32",rotation_index:"uint32",scale_index:"uint32",color_index:"uint32",rotation_basis:"float16",scale_basis:"float16",color_basis:"float16",node_part:"uint16",node_basis:"float16",mlp_weights:"float16",mlp_biases:"float16",joint_rest:"float32",inverse_bind:"float32",joint_parent:"int32"},v=55,$=8,H=128,j=256,me=4096,A=4,ge=16,W=128,he=.01,ye=.3,X=134217728,K=65535,Y=256,Q="rgba16float",M=["uniform:view","read:splats","read:pairs_a","read:frame_state"],P=["uniform:view","texture:accumulation"],U={Model:{size:192,fields:{position_low:[0,"f32"],position_step:[16,"f32"],num_gaussians:[32,"u32"],num_nodes:[36,"u32"],num_head_parts:[40,"u32"],num_pose_inputs:[44,"u32"],basis_size:[48,"u32"],num_layers:[52,"u32"],leaky_relu_slope:[56,"f32"],padding:[60,"u32"],layers:[64,"u32"]}},PoseInput:{size:3152,fields:{joints:[0,"f32"],inputs:[2640,"f32"]}},View:{size:96,fields:{world_to_camera:[0,"f32"],background:[48,"f32"],focal:[64,"f32"],principal:[72,"f32"],viewport:[80,"f32"],near_plane:[88,"f32"],blur:[92,"f32"]}},SortDigit:{size:16,fields:{shift:[0,"u32"],num_groups:[4,"u32"]}}},R=[{name:"model",fill:"uniform",stride:192,dimension:"one"},{name:"pose_input",fill:"uniform",stride:3152,dimension:"one"},{name:"view",fill:"uniform",stride:96,dimension:"one"},{name:"sort_digit",fill:"uniform",stride:256,dimension:"digits"},{name:"gaussians",fill:"section",stride:0,dimension:"one"},{name:"rotation_basis",fill:"section",stride:0,dimension:"one"},{name:"scale_basis",fill:"section",stride:0,dimension:"one"},{name:"color_basis",fill:"section",stride:0,dimension:"one"},{name:"node_part",fill:"section",stride:0,dimension:"one"},{name:"node_basis",fill:"section",stride:0,dimension:"one"},{name:"mlp_weights",fill:"section",stride:0,dimension:"one"},{name:"mlp_biases",fill:"section",stride:0,dimension:"one"},{name:"kept",fill:"table",stride:24,dimension:"kept_groups"},{name:"features",fill:"work",stride:4,dimension:"features"},{name:"node_displacement",fill:"work",stride:16,dimension:"nodes"},{name:"posed",fill:"work",stride:48,dimension:"gaussians"},{name:"splats",fill:"work",stride:32,dimension:"gaussians"},{name:"depths",fill:"work",stride:4,dimension:"gaussians"},{name:"frame_state",fill:"work",stride:16,dimension:"one"},{name:"draw_arguments",fill:"work",stride:20,dimension:"one"},{name:"pairs_a",fill:"work",stride:8,dimension:"gaussians"},{name:"pairs_b",fill:"work",stride:8,dimension:"gaussians"},{name:"histogram",fill:"work",stride:4,dimension:"histogram"}],I=[{name:"features",shader:"features.wgsl",entry:"main",bindings:["uniform:model","uniform:pose_input","read:mlp_weights","read:mlp_biases","write:features"],groups:"parts",rate:"pose",digit:-1},{name:"nodes",shader:"nodes.wgsl",entry:"main",bindings:["uniform:model","read:node_part","read:node_basis","read:features","write:node_displacement"],groups:"node_groups",rate:"pose",digit:-1},{name:"pose",shader:"pose.wgsl",entry:"main",bindings:["uniform:model","uniform:pose_input","read:gaussians","read:kept","read:rotation_basis","read:scale_basis","read:color_basis","read:features","read:node_displacement","write:posed"],groups:"gaussian_groups",rate:"pose",digit:-1},{name:"project",shader:"project.wgsl",entry:"main",bindings:["uniform:model","uniform:view","read:posed","write:splats","write:depths","write:frame_state"],groups:"gaussian_groups",rate:"view",digit:-1},{name:"sort_keys",shader:"sort_keys.wgsl",entry:"main",bindings:["uniform:model","read:depths","read:frame_state","write:pairs_a","write:draw_arguments"],groups:"gaussian_groups",rate:"view",digit:-1},{name:"sort_histogram_0",shader:"sort_histogram.wgsl",entry:"main",bindings:["uniform:model","uniform:sort_digit","read:pairs_a","write:histogram"],groups:"sort_groups",rate:"view",digit:0},{name:"sort_scan_0",shader:"sort_scan.wgsl",entry:"main",bindings:["uniform:model","uniform:sort_digit","write:histogram"],groups:"one",rate:"view",digit:0},{name:"sort_scatter_0",shader:"sort_scatter.wgsl",entry:"main",bindings:["uniform:model","uniform:sort_digit","read:pairs_a","read:histogram","write:pairs_b"],groups:"sort_groups",rate:"view",digit:0},{name:"sort_histogram_1",shader:"sort_histogram.wgsl",entry:"main",bindings:["uniform:model","uniform:sort_digit","read:pairs_b","write:histogram"],groups:"sort_groups",rate:"view",digit:1},{name:"sort_scan_1",shader:"sort_scan.wgsl",entry:"main",bindings:["uniform:model","uniform:sort_digit","write:histogram"],groups:"one",rate:"view",digit:1},{name:"sort_scatter_1",shader:"sort_scatter.wgsl",entry:"main",bindings:["uniform:model","uniform:sort_digit","read:pairs_b","read:histogram","write:pairs_a"],groups:"sort_groups",rate:"view",digit:1},{name:"sort_histogram_2",shader:"sort_histogram.wgsl",entry:"main",bindings:["uniform:model","uniform:sort_digit","read:pairs_a","write:histogram"],groups:"sort_groups",rate:"view",digit:2},{name:"sort_scan_2",shader:"sort_scan.wgsl",entry:"main",bindings:["uniform:model","uniform:sort_digit","write:histogram"],groups:"one",rate:"view",digit:2},{name:"sort_scatter_2",shader:"sort_scatter.wgsl",entry:"main",bindings:["uniform:model","uniform:sort_digit","read:pairs_a","read:histogram","write:pairs_b"],groups:"sort_groups",rate:"view",digit:2},{name:"sort_histogram_3",shader:"sort_histogram.wgsl",entry:"main",bindings:["uniform:model","uniform:sort_digit","read:pairs_b","write:histogram"],groups:"sort_groups",rate:"view",digit:3},{name:"sort_scan_3",shader:"sort_scan.wgsl",entry:"main",bindings:["uniform:model","uniform:sort_digit","write:histogram"],groups:"one",rate:"view",digit:3},{name:"sort_scatter_3",shader:"sort_scatter.wgsl",entry:"main",bindings:["uniform:model","uniform:sort_digit","read:pairs_b","read:histogram","write:pairs_a"],groups:"sort_groups",rate:"view",digit:3}];var f=class extends Error{name="FormatError"},dt={uint32:4,float16:2,uint16:2,float32:4,int32:4},we;function ft(t){we??=Uint32Array.from({length:256},(r,o)=>{for(let n=0;n<8;n++)o=o&1?o>>>1^3988292384:o>>>1;return o});let e=4294967295;for(let r=0;r<t.length;r++)e=(we[(e^t[r])&255]^e>>>8)>>>0;return(e^4294967295)>>>0}function pt(t,e){let r=new Uint8Array(t.length),o=t.length/e;for(let n=0,i=0;n<e;n++)for(let a=n,s=0;s<o;s++,a+=e)r[a]=t[i++];return r}async function mt(t,e,r){let o=new Uint8Array(e),n=0,i=s=>new f(`section '${r}' expands to ${s}, expected ${e} bytes; export the file again`),a=new Blob([t]).stream().pipeThrough(new DecompressionStream("gzip")).getReader();try{for(;;){let{done:s,value:u}=await a.read();if(s)break;if(n+u.length>e)throw i(`more than ${e} bytes`);o.set(u,n),n+=u.length}}catch(s){throw a.cancel().catch(()=>{}),s instanceof f?s:new f(`section '${r}' is damaged (not gzip); copy or export the file again`)}if(n!==e)throw i(`${n} bytes`);return o}function gt(t){return JSON.stringify(String.fromCharCode(...t.subarray(0,8)))}function ht(t){let e=String.fromCharCode(...t.subarray(0,T.length));if(t.length<16||e!==T)throw new f(`not an avatar file: it starts with ${gt(t)}, expected "${T}"; export it again`);let r=new DataView(t.buffer,t.byteOffset,t.byteLength),o=r.getUint32(8,!0),n=r.getUint32(12,!0);if(o>1)throw new f(`made by a newer version (format ${o}, this page reads up to ${1}): update the page beside it`);let i=16+n;if(n>1048576||i>t.length)throw new f(`truncated: the header needs ${i} bytes, found ${t.length}; copy it again`);let a;try{a=JSON.parse(new TextDecoder("utf-8",{fatal:!0}).decode(t.subarray(16,i)))}catch(s){throw new f(`the header is not JSON (${String(s)}); the file is damaged, copy or export it again`)}if(yt(a),t.length<i+a.payload_bytes)throw new f(`truncated: expected ${i+a.payload_bytes} bytes, found ${t.length}; copy it again`);return{header:a,start:i}}function yt(t){let e=(o,n)=>{if(!o)throw new f(`the header is damaged: ${n}; copy or export the file again`)},r=o=>Number.isInteger(o)&&o>=0;e(typeof t=="object"&&t!==null,"expected an object");for(let o of["num_gaussians","num_parts","num_head_parts","num_nodes","basis_size","payload_bytes"])e(r(t[o]),`${o} is ${String(t[o])}, expected a count`);e(Array.isArray(t.layer_sizes)&&t.layer_sizes.every(r),"layer_sizes must be counts");for(let o of["position_low","position_high"])e(t[o]?.length===3&&t[o].every(Number.isFinite),`${o} must be three numbers`);e(Array.isArray(t.sections),"sections must be a list"),e(typeof t.meta=="object"&&t.meta!==null,"meta must be an object")}function _t(t){let e=t.layer_sizes,r=e.slice(1).map((n,i)=>[e[i],n]),o=r.reduce((n,[i,a])=>n+a*(i+i%2),0);return{gaussians:t.num_gaussians*12,node_part:t.num_nodes,node_basis:t.num_nodes*3*t.basis_size,mlp_weights:t.num_parts*o,mlp_biases:t.num_parts*r.reduce((n,[,i])=>n+i,0),joint_rest:165,inverse_bind:660,joint_parent:55}}async function vt(t,e){let{name:r}=e;if(e.raw_bytes>1073741824)throw new f(`section '${r}' claims ${e.raw_bytes} bytes, more than ${1073741824}`);let o=t.subarray(e.offset,e.offset+e.stored_bytes);if(ft(o)!==e.crc32)throw new f(`section '${r}' is damaged (checksum differs); copy or export the file again`);return pt(await mt(o,e.raw_bytes,r),e.shuffle)}async function be(t){let{header:e,start:r}=ht(t),o=t.subarray(r,r+e.payload_bytes),n={},i=_t(e);for(let s of e.sections){let u=s.name;if(!(u in b))continue;let l=await vt(o,s),c=l.length/dt[b[u]];if(s.dtype!==b[u]||c!==(i[u]??c))throw new f(`section '${u}' has ${c} items of ${s.dtype}, expected ${i[u]??"any number"} of ${b[u]}; export the file again`);n[u]=l}let a=Object.keys(b).filter(s=>!(s in n)).sort();if(a.length>0)throw new f(`sections missing: ${a.join(", ")}; export the file again`);return{header:e,sections:n}}function J(t){return new Float32Array(t.buffer,t.byteOffset,t.byteLength/4)}function xe(t){return new Int32Array(t.buffer,t.byteOffset,t.byteLength/4)}var y=class extends Error{constructor(r,o){super(o);this.title=r}title;name="GpuError"},Ae="Use a current version of Chrome, Edge, Safari or Firefox.";function wt(){if(location.protocol==="file:")throw new y("This page needs a web server",`It was opened from disk, where browsers do not let it load its files.
Run \u201Cpython3 -m http.server\u201D in its folder and open http://localhost:8000.`);if(!window.isSecureContext)throw new y("This address is not secure",`Browsers offer WebGPU only over https or on localhost, and this is ${location.origin}. Serve the folder over https, or open it on the machine that serves it.`);let t=navigator.gpu;if(!t)throw new y("This browser has no WebGPU",`The avatar is drawn with WebGPU. ${Ae}`);return t}async function Z(){let t=await wt().requestAdapter({powerPreference:"high-performance"});if(!t)throw new y("No graphics adapter",`This browser knows WebGPU but found no graphics device that it may use. Turn on hardware acceleration in its settings or update the graphics driver. ${Ae}`);return t}async function Pe(){let t=await Z();try{return{device:await t.requestDevice(),adapter:t.info,format:navigator.gpu.getPreferredCanvasFormat()}}catch(e){throw new y("The graphics device could not be opened",`${e.message}
Close other pages and load this one again.`)}}var w=class extends Error{name="LoadError"};async function bt(t,e){if(!t.body)return new Uint8Array(await t.arrayBuffer());let r=Number(t.headers.get("content-length")??Number.NaN),o=[],n=0,i=t.body.getReader();for(;;){let{done:u,value:l}=await i.read();if(u)break;o.push(l),n+=l.length,e(Math.min(1,n/r))}let a=new Uint8Array(n),s=0;for(let u of o)a.set(u,s),s+=u.length;return a}async function ee(t,e=()=>{}){let r;try{r=await fetch(t,{credentials:"same-origin"})}catch(o){throw new w(`${t} could not be fetched (${o.message}): is the server still running?`)}if(!r.ok)throw new w(`${t}: the server answered ${r.status}, expected the file beside index.html; copy the whole exported folder`);try{return await bt(r,e)}catch(o){throw new w(`${t} was cut off while loading (${o.message}); load the page again`)}}var xt="M8 5v14l11-7z",At="M7 5h4v14H7zM13 5h4v14h-4z";function p(t){let e=document.getElementById(t);if(!e)throw new Error(`index.html has no element '${t}'; it does not belong to this viewer.js`);return e}function Se(t){let e=Math.floor(t);return`${Math.floor(e/60)}:${String(e%60).padStart(2,"0")}`}var B=class{canvas=p("canvas");poster=p("poster");controls=p("controls");scrub=p("scrub");play=p("play");readoutBox=p("readout");constructor(){let e=()=>{this.poster.src.endsWith("poster.jpg")?this.poster.src="poster.png":this.poster.hidden=!0};this.poster.addEventListener("error",e),this.poster.complete&&this.poster.naturalWidth===0&&e()}progress(e,r){p("progress-text").textContent=e,p("progress-bar").style.width=`${Number.isNaN(r)?100:Math.round(100*r)}%`}revealed(e){p("progress").hidden=!0,this.poster.classList.add("gone"),this.readoutBox.hidden=!1,this.controls.hidden=e.last===0,this.scrub.max=String(e.last)}message(e,r){p("progress").hidden=!0,this.controls.hidden=!0,this.readoutBox.hidden=!0,this.canvas.hidden=!0,this.poster.classList.remove("gone"),p("message-title").textContent=e,p("message-text").textContent=r,p("message").hidden=!1}readout(e,r){this.readoutBox.textContent=e,this.readoutBox.title=r}showTime(e){this.scrub.value=String(e.position),this.scrub.style.setProperty("--done",`${e.last>0?100*e.position/e.last:0}%`);let r=`${Se(e.position/e.fps)} / ${Se(e.last/e.fps)}`,o=p("clock");o.textContent!==r&&(o.textContent=r)}showPlaying(e){p("play").setAttribute("aria-label",e.playing?"Pause":"Play"),document.getElementById("play-icon")?.setAttribute("d",e.playing?At:xt)}connect(e,r,o){let n=()=>{e.playing=!e.playing,this.showPlaying(e),r()},i=a=>{e.playing=!1,e.seek(a),this.showPlaying(e),r()};this.play.addEventListener("click",n),this.scrub.addEventListener("input",()=>i(Number(this.scrub.value))),window.addEventListener("keydown",a=>{if(!(a.target instanceof HTMLButtonElement||a.ctrlKey||a.metaKey||a.altKey)){if(a.key===" ")n();else if(a.key==="ArrowRight"&&a.target!==this.scrub)i(Math.floor(e.position)+1);else if(a.key==="ArrowLeft"&&a.target!==this.scrub)i(Math.ceil(e.position)-1);else if(a.key==="r")o();else return;a.preventDefault()}}),this.showPlaying(e)}};function Ee(t,e,r,o,n=0){let i=Math.sqrt(Math.max(t*t+e*e+r*r,1e-12)),[a,s,u]=[t/i,e/i,r/i],l=Math.sin(i),c=1-Math.cos(i);o[n]=1-c*(s*s+u*u),o[n+1]=-l*u+c*a*s,o[n+2]=l*s+c*a*u,o[n+3]=l*u+c*a*s,o[n+4]=1-c*(a*a+u*u),o[n+5]=-l*a+c*s*u,o[n+6]=-l*s+c*a*u,o[n+7]=l*a+c*s*u,o[n+8]=1-c*(a*a+s*s)}function ke([t,e,r]){let o=Math.hypot(t,e,r),n=o<1e-9?.5:Math.sin(o/2)/o;return[Math.cos(o/2),t*n,e*n,r*n]}function Pt(t){let e=t[0]<0?-1:1,r=Math.hypot(t[1],t[2],t[3]),o=r<1e-9?2:2*Math.atan2(r,Math.abs(t[0]))/r;return[t[1]*e*o,t[2]*e*o,t[3]*e*o]}function te(t){let[e,r,o,n,i,a,s,u,l]=Array.from(t),c=[1+e+i+l,1+e-i-l,1-e+i-l,1-e-i+l],m=[[c[0],u-a,o-s,n-r],[u-a,c[1],n+r,o+s],[o-s,n+r,c[2],u+a],[n-r,o+s,u+a,c[3]]][c.indexOf(Math.max(...c))],g=Math.hypot(...m);return m.map(V=>V/g)}function Te([t,e,r,o]){return Float32Array.of(1-2*(r*r+o*o),2*(e*r-t*o),2*(e*o+t*r),2*(e*r+t*o),1-2*(e*e+o*o),2*(r*o-t*e),2*(e*o-t*r),2*(r*o+t*e),1-2*(e*e+r*r))}function re(t,e,r){let o=t[0]*e[0]+t[1]*e[1]+t[2]*e[2]+t[3]*e[3],n=Math.acos(Math.min(1,Math.abs(o))),i=Math.sin(n),a=i<1e-6?1-r:Math.sin((1-r)*n)/i,s=(i<1e-6?r:Math.sin(r*n)/i)*(o<0?-1:1),u=[0,1,2,3].map(c=>a*t[c]+s*e[c]),l=Math.hypot(...u);return u.map(c=>c/l)}var St=1;function Me(t,e,r){if(Math.hypot(t[0]-e[0],t[1]-e[1],t[2]-e[2])<=St)return[t[0]+r*(e[0]-t[0]),t[1]+r*(e[1]-t[1]),t[2]+r*(e[2]-t[2])];let o=r<.5?t:e,n=Pt(re(ke(t),ke(e),r)),i=Math.hypot(...n);if(i<1e-9)return n;let a=(n[0]*o[0]+n[1]*o[1]+n[2]*o[2])/i,s=(i+2*Math.PI*Math.round((a-i)/(2*Math.PI)))/i;return[n[0]*s,n[1]*s,n[2]*s]}function Ue(t,e,r){return Float32Array.from({length:Math.max(t.length,e.length)},(o,n)=>(1-r)*(t[n]??0)+r*(e[n]??0))}function kt(t,e,r){if(r<=0||t===e)return t;if(r>=1)return e;let o=new Float32Array(t.pose.length);for(let n=0;n<o.length;n+=3){let i=t.pose.subarray(n,n+3),a=e.pose.subarray(n,n+3);o.set(Me(i,a,r),n)}return{pose:o,Rh:Te(re(te(t.Rh),te(e.Rh),r)),Th:Ue(t.Th,e.Th,r),expression:Ue(t.expression,e.expression,r)}}var N=class{constructor(e,r){this.frames=e;this.fps=r}frames;fps;playing=!0;time=0;get position(){return this.time}get last(){return this.frames.length-1}seek(e){this.time=Math.min(this.last,Math.max(0,e))}advance(e){!this.playing||this.last===0||(this.time+=Math.min(e,.25)*this.fps,this.time>this.last&&(this.time%=this.last))}pose(){let e=Math.floor(this.time);return kt(this.frames[e],this.frames[Math.min(e+1,this.last)],this.time-e)}};var Et=10,_=class extends Error{name="PoseError"};function G(t,e,r){let o=Array.isArray(t)?t.flat():[];if(!Array.isArray(t)||!o.every(n=>Number.isFinite(n))||o.length!==(e??o.length)){let n=Array.isArray(t)?`${o.length} values`:String(t);throw new _(`${r} must be ${e??"a list of"} finite numbers, found ${n}`)}return Float32Array.from(o)}function oe(t){if(typeof t!="object"||t===null)throw new _("expected an object");let{pose:e,Rh:r,Th:o,expression:n}=t;return{pose:G(e,v*3,"pose"),Rh:G(r,9,"Rh"),Th:G(o,3,"Th"),expression:n?G(n,void 0,"expression"):new Float32Array(Et)}}function Re(t){let e;try{e=JSON.parse(t)}catch(r){throw new _(`not JSON (${String(r)}); export it again`)}if(!Array.isArray(e)||e.length===0)throw new _("expected a non-empty JSON array of frames");return e.map((r,o)=>{try{return oe(r)}catch(n){throw new _(`frame ${o} needs pose[165], Th[3], Rh[3][3]: ${n.message}`)}})}function z(t){let{joint_rest:e,inverse_bind:r,joint_parent:o}=t.sections;return{rest:J(e),inverseBind:J(r),parent:xe(o)}}function ne(t,e,r,o,n,i){for(let a=0;a<12;a+=4)for(let s=0;s<4;s++){let u=s===3?t[e+a+3]:0;for(let l=0;l<3;l++)u+=t[e+a+l]*r[o+4*l+s];n[i+a+s]=u}}function ie(t,e){let{rest:r,parent:o}=t,n=new Float64Array(v*12),i=new Float64Array(12),a=new Float64Array(12),s=new Float64Array(9);for(let u=0;u<3;u++){for(let l=0;l<3;l++)i[4*u+l]=e.Rh[3*u+l];i[4*u+3]=e.Th[u]}for(let u=0;u<v;u++){let l=o[u];Ee(e.pose[3*u],e.pose[3*u+1],e.pose[3*u+2],s);for(let c=0;c<3;c++){for(let d=0;d<3;d++)a[4*c+d]=s[3*c+d];a[4*c+3]=r[3*u+c]-(l<0?0:r[3*l+c])}l<0?ne(i,0,a,0,n,12*u):ne(n,12*l,a,0,n,12*u)}return n}function Ie(t,e){let r=ie(t,e),o=new Float32Array(v*12);for(let n=0;n<v;n++)ne(r,12*n,t.inverseBind,12*n,o,12*n);return o}function Be(t,e,r){let o=new Float32Array(e);return o.set(t.pose.subarray(3,3+r)),o.set(t.expression.subarray(0,e-r),r),o}var S=(t,e)=>Math.ceil(t/e);function ae(t){let e=t.num_gaussians,r=S(e,me);return{one:1,gaussians:e,gaussian_groups:S(e,j),parts:t.num_parts,features:t.num_parts*2*t.basis_size,nodes:t.num_nodes,node_groups:S(t.num_nodes,j),kept_groups:S(e,32),sort_groups:r,histogram:r<<A,digits:ge/A}}function k(t,e){let{size:r,fields:o}=U[t],n=new ArrayBuffer(r);for(let[i,[a,s]]of Object.entries(o)){let u=e[i],l=typeof u=="number"?[u]:u;(s==="u32"?new Uint32Array(n,a):new Float32Array(n,a)).set(l)}return n}function Ne(t){let e=t.layer_sizes,r=[],[o,n]=[0,0];for(let i=0;i+1<e.length;i++){let[a,s]=[e[i],e[i+1]];r.push(a,s,o,n),o+=t.num_parts*s*Math.ceil(a/2),n+=t.num_parts*s}return k("Model",{position_low:t.position_low,position_step:t.position_high.map((i,a)=>(i-t.position_low[a])/65535),num_gaussians:t.num_gaussians,num_nodes:t.num_nodes,num_head_parts:t.num_head_parts,num_pose_inputs:t.num_pose_inputs,basis_size:t.basis_size,num_layers:e.length-1,leaky_relu_slope:t.leaky_relu_slope,padding:0,layers:r})}function Ge(t,e){let r=new Uint32Array(S(t,32)*6);return e.forEach((o,n)=>{let i=0;for(let a=0;a*6<r.length;a++)for(r[a*6+2*n+1]=i;i<o.length&&o[i]<(a+1)*32;i++)r[a*6+2*n]|=1<<(o[i]&31)}),r}function ze(t,e){let r=t.layer_sizes;if(r.length-1>$||Math.max(...r)>H)throw new Error(`part networks may have ${$} layers of at most ${H} numbers, found ${r}`);if(t.basis_size%2!==0||r.at(-1)!==2*t.basis_size)throw new Error(`the basis size must be even and half of the last layer, found ${t.basis_size}`);let o=ae(t);for(let{name:n,fill:i,stride:a,dimension:s}of R){let u=i==="section"?e[n].length:a*o[s];if(u>X)throw new Error(`buffer '${n}' needs ${u} bytes, WebGPU promises ${X}: prune more`)}for(let{name:n,groups:i}of I)if(o[i]>K)throw new Error(`pass '${n}' needs ${o[i]} workgroups, WebGPU promises ${K}`)}var De=`struct View {
world_to_camera: array<vec4f, 3>,
background: vec4f,
focal: vec2f,
principal: vec2f,
viewport: vec2f,
near_plane: f32,
blur: f32,
}
@group(0) @binding(0) var<uniform> view: View;
@group(0) @binding(1) var accumulation: texture_2d<f32>;
@vertex
fn vertex(@builtin(vertex_index) index: u32) -> @builtin(position) vec4f {
let corner = vec2f(f32((index << 1u) & 2u), f32(index & 2u));
return vec4f(corner * 2.0 - 1.0, 0.0, 1.0);
}
@fragment
fn fragment(@builtin(position) position: vec4f) -> @location(0) vec4f {
let accumulated = textureLoad(accumulation, vec2i(position.xy), 0);
return vec4f(accumulated.rgb + (1.0 - accumulated.a) * view.background.rgb, 1.0);
}`;var Ce=`struct View {
world_to_camera: array<vec4f, 3>,
background: vec4f,
focal: vec2f,
principal: vec2f,
viewport: vec2f,
near_plane: f32,
blur: f32,
}
struct Corner {
@builtin(position) position: vec4f,
@location(0) @interpolate(flat) color: vec4f,
@location(1) @interpolate(flat) axes: vec4f,
@location(2) @interpolate(flat) center: vec2f,
}
const QUADS_PER_INSTANCE = 128u;
const MAX_ALPHA = 0.999;
const MIN_ALPHA = 1.0 / 255.0;
@group(0) @binding(0) var<uniform> view: View;
@group(0) @binding(1) var<storage, read> splats: array<vec4u>;
@group(0) @binding(2) var<storage, read> pairs: array<vec2u>;
@group(0) @binding(3) var<storage, read> frame_state: vec4u;
@vertex
fn vertex(@builtin(vertex_index) index: u32, @builtin(instance_index) instance: u32) -> Corner {
let rank = instance * QUADS_PER_INSTANCE + index / 4u;
if (rank >= frame_state.x) {
return Corner(vec4f(2.0, 2.0, 2.0, 1.0), vec4f(0.0), vec4f(0.0), vec2f(0.0));
}
let splat = pairs[frame_state.x - 1u - rank].y;
let a = bitcast<vec4f>(splats[2u * splat]);
let b = splats[2u * splat + 1u];
let size = bitcast<vec2f>(b.xy);
let side = vec2f(f32(index % 2u), f32((index / 2u) % 2u)) * 2.0 - 1.0;
let offset = side * size.y;
let minor_axis = normalize(vec2f(-a.w, a.z)) * size.x;
let pixel = a.xy + offset.x * a.zw + offset.y * minor_axis;
let clip = pixel / view.viewport * vec2f(2.0, -2.0) + vec2f(-1.0, 1.0);
let color = vec4f(unpack2x16float(b.z), unpack2x16float(b.w & 0xffffu).x, f32(b.w >> 16u) / 65535.0);
let axes = vec4f(a.zw / dot(a.zw, a.zw), minor_axis / (size.x * size.x));
return Corner(vec4f(clip, 0.0, 1.0), color, axes, a.xy);
}
@fragment
fn fragment(corner: Corner) -> @location(0) vec4f {
let pixel = corner.position.xy - corner.center;
let offset = vec2f(dot(pixel, corner.axes.xy), dot(pixel, corner.axes.zw));
let alpha = min(MAX_ALPHA, corner.color.a * exp(-0.5 * dot(offset, offset)));
if (alpha < MIN_ALPHA) {
discard;
}
return vec4f(corner.color.rgb * alpha, alpha);
}`;var Le=`struct Model {
position_low: vec4f,
position_step: vec4f,
num_gaussians: u32,
num_nodes: u32,
num_head_parts: u32,
num_pose_inputs: u32,
basis_size: u32,
num_layers: u32,
leaky_relu_slope: f32,
padding: u32,
layers: array<vec4u, 8>,
}
struct PoseInput {
joints: array<vec4f, 165>,
inputs: array<vec4f, 32>,
}
const THREADS = 64u;
const WIDTH = 128u;
@group(0) @binding(0) var<uniform> model: Model;
@group(0) @binding(1) var<uniform> pose_input: PoseInput;
@group(0) @binding(2) var<storage, read> mlp_weights: array<u32>;
@group(0) @binding(3) var<storage, read> mlp_biases: array<u32>;
@group(0) @binding(4) var<storage, read_write> features: array<f32>;
var<workgroup> activations: array<f32, 256>;
fn input_number(part: u32, i: u32) -> f32 {
let is_used = i < model.num_pose_inputs || part < model.num_head_parts;
let value = pose_input.inputs[min(i, WIDTH - 1u) / 4u][i % 4u];
return select(0.0, value, is_used && i < model.layers[0].x);
}
fn bias(index: u32) -> f32 {
let pair = unpack2x16float(mlp_biases[index / 2u]);
return select(pair.x, pair.y, index % 2u == 1u);
}
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
let part = group.x;
for (var i = thread; i < WIDTH; i += THREADS) {
activations[i] = input_number(part, i);
}
for (var l = 0u; l < model.num_layers; l++) {
workgroupBarrier();
let layer = model.layers[l];
let words = (layer.x + 1u) / 2u;
let is_last = l + 1u == model.num_layers;
let source = (l % 2u) * WIDTH;
let target_ = WIDTH - source;
for (var o = thread; o < WIDTH; o += THREADS) {
var sum = 0.0;
if (o < layer.y) {
sum = bias(layer.w + part * layer.y + o);
let row = layer.z + (part * layer.y + o) * words;
for (var i = 0u; i < words; i++) {
let w = unpack2x16float(mlp_weights[row + i]);
sum += w.x * activations[source + 2u * i] + w.y * activations[source + 2u * i + 1u];
}
if (is_last) {
features[part * layer.y + o] = sum;
}
}
activations[target_ + o] = select(model.leaky_relu_slope * sum, sum, sum > 0.0);
}
}
}`;var Oe=`struct Model {
position_low: vec4f,
position_step: vec4f,
num_gaussians: u32,
num_nodes: u32,
num_head_parts: u32,
num_pose_inputs: u32,
basis_size: u32,
num_layers: u32,
leaky_relu_slope: f32,
padding: u32,
layers: array<vec4u, 8>,
}
@group(0) @binding(0) var<uniform> model: Model;
@group(0) @binding(1) var<storage, read> node_part: array<u32>;
@group(0) @binding(2) var<storage, read> node_basis: array<u32>;
@group(0) @binding(3) var<storage, read> features: array<f32>;
@group(0) @binding(4) var<storage, read_write> node_displacement: array<vec4f>;
fn basis_dot(row: u32, feature: u32) -> f32 {
let words = model.basis_size / 2u;
var sum = 0.0;
for (var k = 0u; k < words; k++) {
let b = unpack2x16float(node_basis[row * words + k]);
sum += b.x * features[feature + 2u * k] + b.y * features[feature + 2u * k + 1u];
}
return sum;
}
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u) {
let node = id.x;
if (node >= model.num_nodes) {
return;
}
let part = (node_part[node / 2u] >> (16u * (node % 2u))) & 0xffffu;
let feature = (2u * part + 1u) * model.basis_size;
node_displacement[node] = vec4f(
basis_dot(3u * node, feature),
basis_dot(3u * node + 1u, feature),
basis_dot(3u * node + 2u, feature),
0.0,
);
}`;var Fe=`struct Model {
position_low: vec4f,
position_step: vec4f,
num_gaussians: u32,
num_nodes: u32,
num_head_parts: u32,
num_pose_inputs: u32,
basis_size: u32,
num_layers: u32,
leaky_relu_slope: f32,
padding: u32,
layers: array<vec4u, 8>,
}
struct PoseInput {
joints: array<vec4f, 165>,
inputs: array<vec4f, 32>,
}
@group(0) @binding(0) var<uniform> model: Model;
@group(0) @binding(1) var<uniform> pose_input: PoseInput;
@group(0) @binding(2) var<storage, read> gaussians: array<vec4u>;
@group(0) @binding(3) var<storage, read> kept: array<vec2u>;
@group(0) @binding(4) var<storage, read> rotation_basis: array<u32>;
@group(0) @binding(5) var<storage, read> scale_basis: array<u32>;
@group(0) @binding(6) var<storage, read> color_basis: array<u32>;
@group(0) @binding(7) var<storage, read> features: array<f32>;
@group(0) @binding(8) var<storage, read> node_displacement: array<vec4f>;
@group(0) @binding(9) var<storage, read_write> posed: array<vec4u>;
const NOT_KEPT = 0xffffffffu;
fn kept_row(gaussian: u32, slot: u32) -> u32 {
let entry = kept[(gaussian / 32u) * 3u + slot];
let bit = 1u << (gaussian % 32u);
let row = entry.y + countOneBits(entry.x & (bit - 1u));
return select(NOT_KEPT, row, (entry.x & bit) != 0u);
}
fn rotation_dot(row: u32, feature: u32) -> f32 {
let words = model.basis_size / 2u;
var sum = 0.0;
for (var k = 0u; k < words; k++) {
let b = unpack2x16float(rotation_basis[row * words + k]);
sum += b.x * features[feature + 2u * k] + b.y * features[feature + 2u * k + 1u];
}
return sum;
}
fn scale_dot(row: u32, feature: u32) -> f32 {
let words = model.basis_size / 2u;
var sum = 0.0;
for (var k = 0u; k < words; k++) {
let b = unpack2x16float(scale_basis[row * words + k]);
sum += b.x * features[feature + 2u * k] + b.y * features[feature + 2u * k + 1u];
}
return sum;
}
fn color_dot(row: u32, feature: u32) -> f32 {
let words = model.basis_size / 2u;
var sum = 0.0;
for (var k = 0u; k < words; k++) {
let b = unpack2x16float(color_basis[row * words + k]);
sum += b.x * features[feature + 2u * k] + b.y * features[feature + 2u * k + 1u];
}
return sum;
}
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u) {
let n = id.x;
if (n >= model.num_gaussians) {
return;
}
let a = gaussians[3u * n];
let b = gaussians[3u * n + 1u];
let c = gaussians[3u * n + 2u];
let steps = vec3f(f32(a.x & 0xffffu), f32(a.x >> 16u), f32(a.y & 0xffffu));
var position = model.position_low.xyz + steps * model.position_step.xyz;
let feature = (a.y >> 16u) * 2u * model.basis_size;
var quaternion = vec4f(unpack2x16float(a.z), unpack2x16float(a.w));
let scale_z = unpack2x16float(b.y & 0xffffu).x;
var log_scale = vec3f(unpack2x16float(b.x), scale_z);
let opacity_bits = b.y & 0xffff0000u;
var color = vec3f(unpack2x16float(b.z), unpack2x16float(b.w & 0xffffu).x);
let rotation_row = kept_row(n, 0u);
if (rotation_row != NOT_KEPT) {
let row = 4u * rotation_row;
quaternion += vec4f(
rotation_dot(row, feature), rotation_dot(row + 1u, feature),
rotation_dot(row + 2u, feature), rotation_dot(row + 3u, feature),
);
}
let scale_row = kept_row(n, 1u);
if (scale_row != NOT_KEPT) {
let row = 3u * scale_row;
log_scale += vec3f(scale_dot(row, feature), scale_dot(row + 1u, feature), scale_dot(row + 2u, feature));
}
let color_row = kept_row(n, 2u);
if (color_row != NOT_KEPT) {
let row = 3u * color_row;
color += vec3f(color_dot(row, feature), color_dot(row + 1u, feature), color_dot(row + 2u, feature));
}
let w0 = f32(c.y & 0xffffu) / 65535.0;
let w1 = f32(c.y >> 16u) / 65535.0;
let last_node = model.num_nodes - 1u;
position += w0 * node_displacement[min(b.w >> 16u, last_node)].xyz;
position += w1 * node_displacement[min(c.x & 0xffffu, last_node)].xyz;
position += (1.0 - w0 - w1) * node_displacement[min(c.x >> 16u, last_node)].xyz;
var row0 = vec4f(0.0);
var row1 = vec4f(0.0);
var row2 = vec4f(0.0);
for (var i = 0u; i < 4u; i++) {
let joint = min((c.z >> (8u * i)) & 0xffu, 54u);
let weight = f32((c.w >> (8u * i)) & 0xffu) / 255.0;
row0 += weight * pose_input.joints[3u * joint];
row1 += weight * pose_input.joints[3u * joint + 1u];
row2 += weight * pose_input.joints[3u * joint + 2u];
}
let point = vec4f(position, 1.0);
let mean = vec3f(dot(row0, point), dot(row1, point), dot(row2, point));
let q = normalize(quaternion);
let w = q.x;
let x = q.y;
let y = q.z;
let z = q.w;
let s = exp(log_scale);
let axis0 = s.x * vec3f(1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y + w * z), 2.0 * (x * z - w * y));
let axis1 = s.y * vec3f(2.0 * (x * y - w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z + w * x));
let axis2 = s.z * vec3f(2.0 * (x * z + w * y), 2.0 * (y * z - w * x), 1.0 - 2.0 * (x * x + y * y));
let h0 = vec3f(dot(row0.xyz, axis0), dot(row0.xyz, axis1), dot(row0.xyz, axis2));
let h1 = vec3f(dot(row1.xyz, axis0), dot(row1.xyz, axis1), dot(row1.xyz, axis2));
let h2 = vec3f(dot(row2.xyz, axis0), dot(row2.xyz, axis1), dot(row2.xyz, axis2));
let rgb = max(color + 0.5, vec3f(0.0));
posed[3u * n] = vec4u(bitcast<vec3u>(mean), bitcast<u32>(dot(h0, h0)));
posed[3u * n + 1u] = bitcast<vec4u>(vec4f(dot(h0, h1), dot(h0, h2), dot(h1, h1), dot(h1, h2)));
posed[3u * n + 2u] = vec4u(
bitcast<u32>(dot(h2, h2)),
pack2x16float(rgb.xy),
pack2x16float(vec2f(rgb.z, 0.0)) | opacity_bits,
0u,
);
}`;var Ve=`struct Model {
position_low: vec4f,
position_step: vec4f,
num_gaussians: u32,
num_nodes: u32,
num_head_parts: u32,
num_pose_inputs: u32,
basis_size: u32,
num_layers: u32,
leaky_relu_slope: f32,
padding: u32,
layers: array<vec4u, 8>,
}
struct View {
world_to_camera: array<vec4f, 3>,
background: vec4f,
focal: vec2f,
principal: vec2f,
viewport: vec2f,
near_plane: f32,
blur: f32,
}
struct FrameState {
visible: atomic<u32>,
nearest_complement: atomic<u32>,
farthest: atomic<u32>,
}
struct Splat {
center: vec2f,
major: vec2f,
minor: f32,
radius: f32,
is_visible: bool,
}
const CULLED = 0xffffffffu;
const MIN_ALPHA = 1.0 / 255.0;
@group(0) @binding(0) var<uniform> model: Model;
@group(0) @binding(1) var<uniform> view: View;
@group(0) @binding(2) var<storage, read> posed: array<vec4u>;
@group(0) @binding(3) var<storage, read_write> splats: array<vec4u>;
@group(0) @binding(4) var<storage, read_write> depths: array<u32>;
@group(0) @binding(5) var<storage, read_write> frame_state: FrameState;
var<workgroup> group_visible: atomic<u32>;
var<workgroup> group_nearest_complement: atomic<u32>;
var<workgroup> group_farthest: atomic<u32>;
fn symmetric_times(d: vec3f, e: vec3f, v: vec3f) -> vec3f {
return vec3f(dot(d, v), dot(vec3f(d.y, e.x, e.y), v), dot(vec3f(d.z, e.y, e.z), v));
}
fn clamped_slope(slope: vec2f) -> vec2f {
let margin = 0.15 * view.viewport / view.focal;
let low = view.principal / view.focal + margin;
let high = (view.viewport - view.principal) / view.focal + margin;
return min(high, max(-low, slope));
}
fn project(mean: vec3f, d: vec3f, e: vec3f, opacity: f32) -> Splat {
var out = Splat(vec2f(0.0), vec2f(0.0), 0.0, 0.0, false);
let r0 = view.world_to_camera[0];
let r1 = view.world_to_camera[1];
let r2 = view.world_to_camera[2];
let point = vec4f(mean, 1.0);
let depth = dot(r2, point);
if (depth < view.near_plane || opacity < MIN_ALPHA) {
return out;
}
let slope = vec2f(dot(r0, point), dot(r1, point)) / depth;
out.center = view.focal * slope + view.principal;
let t = clamped_slope(slope);
let ju = view.focal.x / depth * (r0.xyz - t.x * r2.xyz);
let jv = view.focal.y / depth * (r1.xyz - t.y * r2.xyz);
let su = symmetric_times(d, e, ju);
let sv = symmetric_times(d, e, jv);
let xx = dot(ju, su) + view.blur;
let xy = dot(ju, sv);
let yy = dot(jv, sv) + view.blur;
let determinant = xx * yy - xy * xy;
if (determinant <= 0.0) {
return out;
}
out.radius = sqrt(2.0 * log(opacity / MIN_ALPHA));
let middle = 0.5 * (xx + yy);
let difference = 0.5 * (xx - yy);
let deviation = sqrt(difference * difference + xy * xy);
let reach = ceil(out.radius * sqrt(vec2f(xx, yy)));
let is_inside = all(out.center + reach > vec2f(0.0)) && all(out.center - reach < view.viewport);
let positive = vec2f(difference + deviation, xy);
let negative = vec2f(xy, deviation - difference);
let direction = select(negative, positive, difference >= 0.0);
let length_ = length(direction);
let unit = select(vec2f(1.0, 0.0), direction / max(length_, 1e-20), length_ > 1e-20);
let larger = middle + deviation;
out.major = sqrt(larger) * unit;
out.minor = sqrt(determinant / larger);
out.is_visible = is_inside;
return out;
}
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_index) thread: u32) {
if (thread == 0u) {
atomicStore(&group_visible, 0u);
atomicStore(&group_nearest_complement, 0u);
atomicStore(&group_farthest, 0u);
}
workgroupBarrier();
let n = id.x;
if (n < model.num_gaussians) {
let a = posed[3u * n];
let b = posed[3u * n + 1u];
let c = posed[3u * n + 2u];
let mean = bitcast<vec3f>(a.xyz);
let d = bitcast<vec3f>(vec3u(a.w, b.x, b.y));
let e = bitcast<vec3f>(vec3u(b.z, b.w, c.x));
let splat = project(mean, d, e, f32(c.z >> 16u) / 65535.0);
var key = CULLED;
if (splat.is_visible) {
key = bitcast<u32>(dot(view.world_to_camera[2], vec4f(mean, 1.0)));
atomicAdd(&group_visible, 1u);
atomicMax(&group_nearest_complement, ~key);
atomicMax(&group_farthest, key);
}
depths[n] = key;
splats[2u * n] = bitcast<vec4u>(vec4f(splat.center, splat.major));
splats[2u * n + 1u] = vec4u(bitcast<u32>(splat.minor), bitcast<u32>(splat.radius), c.y, c.z);
}
workgroupBarrier();
if (thread == 0u) {
atomicAdd(&frame_state.visible, atomicLoad(&group_visible));
atomicMax(&frame_state.nearest_complement, atomicLoad(&group_nearest_complement));
atomicMax(&frame_state.farthest, atomicLoad(&group_farthest));
}
}`;var $e=`struct Model {
position_low: vec4f,
position_step: vec4f,
num_gaussians: u32,
num_nodes: u32,
num_head_parts: u32,
num_pose_inputs: u32,
basis_size: u32,
num_layers: u32,
leaky_relu_slope: f32,
padding: u32,
layers: array<vec4u, 8>,
}
struct SortDigit {
shift: u32,
num_groups: u32,
}
const THREADS = 256u;
const ITEMS = 16u;
@group(0) @binding(0) var<uniform> model: Model;
@group(0) @binding(1) var<uniform> sort_digit: SortDigit;
@group(0) @binding(2) var<storage, read> pairs: array<vec2u>;
@group(0) @binding(3) var<storage, read_write> histogram: array<u32>;
var<workgroup> counters: array<u32, 2048>;
var<workgroup> partial: array<u32, 256>;
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
for (var pair = 0u; pair < 8u; pair++) {
counters[pair * THREADS + thread] = 0u;
}
let first = (group.x * THREADS + thread) * ITEMS;
let end = min(first + ITEMS, model.num_gaussians);
for (var i = first; i < end; i++) {
let digit = (pairs[i].x >> sort_digit.shift) & 15u;
counters[(digit / 2u) * THREADS + thread] += 1u << (16u * (digit % 2u));
}
workgroupBarrier();
let pair = thread / 32u;
let column = pair * THREADS + (thread % 32u) * 8u;
var sum = 0u;
for (var i = 0u; i < 8u; i++) {
sum += counters[column + i];
}
partial[thread] = sum;
workgroupBarrier();
if (thread < 16u) {
var total = 0u;
for (var i = 0u; i < 32u; i++) {
total += (partial[(thread / 2u) * 32u + i] >> (16u * (thread % 2u))) & 0xffffu;
}
histogram[thread * sort_digit.num_groups + group.x] = total;
}
}`;var He=`struct Model {
position_low: vec4f,
position_step: vec4f,
num_gaussians: u32,
num_nodes: u32,
num_head_parts: u32,
num_pose_inputs: u32,
basis_size: u32,
num_layers: u32,
leaky_relu_slope: f32,
padding: u32,
layers: array<vec4u, 8>,
}
override KEY_BITS: u32 = 16u;
const CULLED = 0xffffffffu;
const QUADS_PER_INSTANCE = 128u;
@group(0) @binding(0) var<uniform> model: Model;
@group(0) @binding(1) var<storage, read> depths: array<u32>;
@group(0) @binding(2) var<storage, read> frame_state: vec4u;
@group(0) @binding(3) var<storage, read_write> pairs: array<vec2u>;
@group(0) @binding(4) var<storage, read_write> draw_arguments: array<u32, 5>;
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u) {
let n = id.x;
if (n == 0u) {
draw_arguments[0] = 6u * QUADS_PER_INSTANCE;
draw_arguments[1] = (frame_state.x + QUADS_PER_INSTANCE - 1u) / QUADS_PER_INSTANCE;
draw_arguments[2] = 0u;
draw_arguments[3] = 0u;
draw_arguments[4] = 0u;
}
if (n >= model.num_gaussians) {
return;
}
let bits = depths[n];
var key = bits;
if (KEY_BITS == 16u) {
let nearest = bitcast<f32>(~frame_state.y);
let range = max(bitcast<f32>(frame_state.z) - nearest, 1e-9);
let step = (bitcast<f32>(bits) - nearest) / range * 65534.0;
key = select(min(u32(max(step, 0.0)), 65534u), 65535u, bits == CULLED);
}
pairs[n] = vec2u(key, n);
}`;var je=`struct Model {
position_low: vec4f,
position_step: vec4f,
num_gaussians: u32,
num_nodes: u32,
num_head_parts: u32,
num_pose_inputs: u32,
basis_size: u32,
num_layers: u32,
leaky_relu_slope: f32,
padding: u32,
layers: array<vec4u, 8>,
}
struct SortDigit {
shift: u32,
num_groups: u32,
}
const THREADS = 256u;
@group(0) @binding(0) var<uniform> model: Model;
@group(0) @binding(1) var<uniform> sort_digit: SortDigit;
@group(0) @binding(2) var<storage, read_write> histogram: array<u32>;
var<workgroup> sums: array<u32, 256>;
@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) thread: u32) {
let count = 16u * sort_digit.num_groups;
let run = (count + THREADS - 1u) / THREADS;
let first = min(thread * run, count);
let end = min(first + run, count);
var sum = 0u;
for (var i = first; i < end; i++) {
sum += histogram[i];
}
sums[thread] = sum;
workgroupBarrier();
if (thread == 0u) {
var total = 0u;
for (var i = 0u; i < THREADS; i++) {
let value = sums[i];
sums[i] = total;
total += value;
}
}
workgroupBarrier();
var offset = sums[thread];
for (var i = first; i < end; i++) {
let value = histogram[i];
histogram[i] = offset;
offset += value;
}
}`;var We=`struct Model {
position_low: vec4f,
position_step: vec4f,
num_gaussians: u32,
num_nodes: u32,
num_head_parts: u32,
num_pose_inputs: u32,
basis_size: u32,
num_layers: u32,
leaky_relu_slope: f32,
padding: u32,
layers: array<vec4u, 8>,
}
struct SortDigit {
shift: u32,
num_groups: u32,
}
const THREADS = 256u;
const ITEMS = 16u;
@group(0) @binding(0) var<uniform> model: Model;
@group(0) @binding(1) var<uniform> sort_digit: SortDigit;
@group(0) @binding(2) var<storage, read> pairs: array<vec2u>;
@group(0) @binding(3) var<storage, read> histogram: array<u32>;
@group(0) @binding(4) var<storage, read_write> sorted: array<vec2u>;
var<workgroup> counters: array<u32, 2048>;
var<workgroup> partial: array<u32, 256>;
var<workgroup> first_target: array<u32, 16>;
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
for (var pair = 0u; pair < 8u; pair++) {
counters[pair * THREADS + thread] = 0u;
}
if (thread < 16u) {
first_target[thread] = histogram[thread * sort_digit.num_groups + group.x];
}
let first = (group.x * THREADS + thread) * ITEMS;
let end = min(first + ITEMS, model.num_gaussians);
for (var i = first; i < end; i++) {
let digit = (pairs[i].x >> sort_digit.shift) & 15u;
counters[(digit / 2u) * THREADS + thread] += 1u << (16u * (digit % 2u));
}
workgroupBarrier();
let column = (thread / 32u) * THREADS + (thread % 32u) * 8u;
var sum = 0u;
for (var i = 0u; i < 8u; i++) {
let value = counters[column + i];
counters[column + i] = sum;
sum += value;
}
partial[thread] = sum;
workgroupBarrier();
if (thread < 8u) {
var total = 0u;
for (var i = 0u; i < 32u; i++) {
let value = partial[thread * 32u + i];
partial[thread * 32u + i] = total;
total += value;
}
}
workgroupBarrier();
for (var i = first; i < end; i++) {
let item = pairs[i];
let digit = (item.x >> sort_digit.shift) & 15u;
let place = (digit / 2u) * THREADS + thread;
let bit = 16u * (digit % 2u);
let rank = ((counters[place] + partial[(digit / 2u) * 32u + thread / 8u]) >> bit) & 0xffffu;
counters[place] += 1u << bit;
sorted[min(first_target[digit] + rank, model.num_gaussians - 1u)] = item;
}
}`;var Xe=`struct View {
world_to_camera: array<vec4f, 3>,
background: vec4f,
focal: vec2f,
principal: vec2f,
viewport: vec2f,
near_plane: f32,
blur: f32,
}
struct Stage {
up: vec4f,
center: vec4f,
shadows: array<vec4f, 3>,
}
const LINE_SPACING = 0.5;
const LINE_STRENGTH = 0.055;
@group(0) @binding(0) var<uniform> view: View;
@group(0) @binding(1) var accumulation: texture_2d<f32>;
@group(0) @binding(2) var<uniform> stage: Stage;
@vertex
fn vertex(@builtin(vertex_index) index: u32) -> @builtin(position) vec4f {
let corner = vec2f(f32((index << 1u) & 2u), f32(index & 2u));
return vec4f(corner * 2.0 - 1.0, 0.0, 1.0);
}
fn wall(pixel: vec2f) -> vec3f {
let p = (pixel / view.viewport - vec2f(0.5, 0.42)) / vec2f(1.2, 0.9);
let light = vec3f(0.955, 0.957, 0.961);
let dark = vec3f(0.855, 0.863, 0.875);
return mix(light, dark, smoothstep(0.0, 1.0, length(p) * 1.25));
}
fn floor_shade(pixel: vec2f) -> vec2f {
let r0 = view.world_to_camera[0];
let r1 = view.world_to_camera[1];
let r2 = view.world_to_camera[2];
let eye = -(r0.w * r0.xyz + r1.w * r1.xyz + r2.w * r2.xyz);
let slope = (pixel - view.principal) / view.focal;
let ray = slope.x * r0.xyz + slope.y * r1.xyz + r2.xyz;
let up = stage.up.xyz;
let height = dot(up, eye) - stage.up.w;
let fall = -dot(up, ray);
let is_floor = height > 0.0 && fall > 1e-3;
let point = eye + height / max(fall, 1e-3) * ray;
var clear = 1.0;
for (var i = 0u; i < 3u; i++) {
let to_caster = stage.shadows[i].xyz - point;
let above = max(dot(up, to_caster), 0.0);
let along = to_caster - dot(up, to_caster) * up;
let radius = stage.shadows[i].w + 0.5 * above;
let strength = 0.32 * stage.shadows[i].w / radius;
clear *= 1.0 - strength * exp(-dot(along, along) / (radius * radius));
}
let axis = select(vec3f(0.0, 1.0, 0.0), vec3f(1.0, 0.0, 0.0), abs(up.x) < 0.5);
let across = normalize(cross(up, axis));
let cell = vec2f(dot(point, across), dot(point, cross(up, across))) / LINE_SPACING;
let footprint = max(fwidth(cell), vec2f(1e-5));
let cover = clamp(1.25 - abs(fract(cell - 0.5) - 0.5) / footprint, vec2f(0.0), vec2f(1.0));
let thinning = clamp(0.35 / footprint, vec2f(0.0), vec2f(1.0));
let lines = max(cover.x * thinning.x, cover.y * thinning.y);
let from_center = point - stage.center.xyz;
let fade = 1.0 - smoothstep(0.25, 1.0, length(from_center - dot(up, from_center) * up) / stage.center.w);
return select(vec2f(0.0), vec2f(1.0 - clear, LINE_STRENGTH * fade * lines), is_floor);
}
@fragment
fn fragment(@builtin(position) position: vec4f) -> @location(0) vec4f {
let accumulated = textureLoad(accumulation, vec2i(position.xy), 0);
let shade = floor_shade(position.xy);
let noise = fract(52.9829189 * fract(dot(position.xy, vec2f(0.06711056, 0.00583715)))) - 0.5;
let backdrop = wall(position.xy) * (1.0 - shade.x) * (1.0 - shade.y) + noise / 255.0;
return vec4f(accumulated.rgb + (1.0 - accumulated.a) * backdrop, 1.0);
}`;var Ke={"composite.wgsl":De,"draw.wgsl":Ce,"features.wgsl":Le,"nodes.wgsl":Oe,"pose.wgsl":Fe,"project.wgsl":Ve,"sort_histogram.wgsl":$e,"sort_keys.wgsl":He,"sort_scan.wgsl":je,"sort_scatter.wgsl":We,"stage.wgsl":Xe};var Ye="rgba8unorm",ue=20,se=[...P,"uniform:stage"];function Qe(t){return{view:t,loadOp:"clear",storeOp:"store",clearValue:[0,0,0,0]}}function Lt(){let t=[0,1,2,2,1,3];return Uint16Array.from({length:6*W},(e,r)=>4*Math.floor(r/6)+t[r%6])}var D=class t{constructor(e,r){this.device=e;this.avatar=r;ze(r.header,r.sections),this.skeleton=z(r),this.counts=ae(r.header);for(let o of R)this.buffers.set(o.name,this.makeBuffer(o));this.buffers.set("stage",this.allocate("stage",ue*4,GPUBufferUsage.UNIFORM)),this.indices=this.allocate("indices",12*W,GPUBufferUsage.INDEX),e.queue.writeBuffer(this.indices,0,Lt()),e.queue.writeBuffer(this.buffer("model"),0,Ne(r.header));for(let o=0;o<this.counts.digits;o++){let n={shift:o*A,num_groups:this.counts.sort_groups};e.queue.writeBuffer(this.buffer("sort_digit"),o*Y,k("SortDigit",n))}}device;avatar;buffers=new Map;skeleton;counts;indices;modules=new Map;layouts=new Map;steps=[];draw;drawGroup;composite;stage;target;isPoseNew=!1;static async create(e,r,o){e.pushErrorScope("validation"),e.pushErrorScope("out-of-memory");let n=new t(e,r),i=n.compile(o);i.catch(()=>{});let[a,s]=await Promise.all([e.popErrorScope(),e.popErrorScope()]);if(a)throw new Error(`not enough graphics memory for this avatar (${a.message}); close other pages`);if(s)throw new Error(`the graphics driver refused the avatar: ${s.message}`);return await i,n}setPose(e){let{layer_sizes:r,num_pose_inputs:o}=this.avatar.header,n={joints:Ie(this.skeleton,e),inputs:Be(e,r[0],o)};this.device.queue.writeBuffer(this.buffer("pose_input"),0,k("PoseInput",n)),this.isPoseNew=!0}present(e,r,o){this.device.queue.writeBuffer(this.buffer("stage"),0,o),this.writeView(r,[0,0,0]);let n=this.device.createCommandEncoder(),i=this.targetOf(r.width,r.height);this.encodeSplats(n,i),this.encodeCover(n,e.createView(),this.stage,i.stage),this.device.queue.submit([n.finish()])}async readPixels(e,r){let{width:o,height:n}=e,i=GPUTextureUsage.RENDER_ATTACHMENT|GPUTextureUsage.COPY_SRC,a=this.device.createTexture({size:[o,n],format:Ye,usage:i}),s=Math.ceil(4*o/256)*256,u=this.device.createBuffer({size:s*n,usage:GPUBufferUsage.MAP_READ|GPUBufferUsage.COPY_DST});this.writeView(e,r);let l=this.device.createCommandEncoder(),c=this.makeTarget(o,n);this.encodeSplats(l,c),this.encodeCover(l,a.createView(),this.composite,c.composite),l.copyTextureToBuffer({texture:a},{buffer:u,bytesPerRow:s},[o,n]),this.device.queue.submit([l.finish()]);try{await u.mapAsync(GPUMapMode.READ);let d=new Uint8Array(u.getMappedRange()),m=new Uint8Array(4*o*n);for(let g=0;g<n;g++)m.set(d.subarray(g*s,g*s+4*o),4*o*g);return m}finally{u.destroy(),a.destroy(),c.accumulation.destroy()}}finished(){return this.device.queue.onSubmittedWorkDone().catch(()=>{})}dispose(){for(let e of this.buffers.values())e.destroy();this.indices.destroy(),this.target?.accumulation.destroy(),this.target=void 0}buffer(e){return this.buffers.get(e)}allocate(e,r,o){let n=Math.max(16,Math.ceil(r/16)*16);return this.device.createBuffer({label:e,size:n,usage:o|GPUBufferUsage.COPY_DST})}makeBuffer({name:e,fill:r,stride:o,dimension:n}){let{sections:i,header:a}=this.avatar,s;if(r==="section"&&(s=i[e]),r==="table"){let{rotation_index:d,scale_index:m,color_index:g}=i,V=[d,m,g].map(ut=>new Uint32Array(ut.buffer));s=new Uint8Array(Ge(a.num_gaussians,V).buffer)}let u=r==="uniform"?GPUBufferUsage.UNIFORM:GPUBufferUsage.STORAGE,l=e==="draw_arguments"?GPUBufferUsage.INDIRECT:0,c=this.allocate(e,Math.max(s?.length??0,o*this.counts[n]),u|l);if(s){let d=s.length-s.length%4;if(this.device.queue.writeBuffer(c,0,s,0,d),d<s.length){let m=new Uint8Array(4);m.set(s.subarray(d)),this.device.queue.writeBuffer(c,d,m)}}return c}async compile(e){let r=new Map,o=I.map(async s=>{let u=this.bindLayout(s.bindings,GPUShaderStage.COMPUTE),l=s.shader+s.entry,c=r.get(l)??this.computePipeline(s.shader,s.entry,u);r.set(l,c);let d=this.bind(u,s.bindings,{digit:Math.max(0,s.digit)});return{pipeline:await c,group:d,dispatch:this.counts[s.groups],rate:s.rate}}),[n,i,a]=[this.renderPipeline("draw.wgsl",M,Q,!0),this.renderPipeline("composite.wgsl",P,Ye,!1),this.renderPipeline("stage.wgsl",se,e,!1)];this.steps=await Promise.all(o),[this.draw,this.composite,this.stage]=await Promise.all([n,i,a]),this.drawGroup=this.bind(this.renderLayout(M),M)}module(e){let r=this.modules.get(e)??this.device.createShaderModule({label:e,code:Ke[e]});return this.modules.set(e,r),r}computePipeline(e,r,o){return this.device.createComputePipelineAsync({label:e,layout:this.device.createPipelineLayout({bindGroupLayouts:[o]}),compute:{module:this.module(e),entryPoint:r}})}renderPipeline(e,r,o,n){let i={srcFactor:"one",dstFactor:"one-minus-src-alpha",operation:"add"},a=n?{format:o,blend:{color:i,alpha:i}}:{format:o},s=this.module(e);return this.device.createRenderPipelineAsync({label:e,layout:this.device.createPipelineLayout({bindGroupLayouts:[this.renderLayout(r)]}),vertex:{module:s,entryPoint:"vertex"},fragment:{module:s,entryPoint:"fragment",targets:[a]},primitive:{topology:"triangle-list"}})}renderLayout(e){return this.bindLayout(e,GPUShaderStage.VERTEX|GPUShaderStage.FRAGMENT)}bindLayout(e,r){let o=e.map(u=>u.split(":")[0]),n=`${r}:${o.join()}`,i={uniform:"uniform",read:"read-only-storage",write:"storage"},a=o.map((u,l)=>u==="texture"?{binding:l,visibility:r,texture:{sampleType:"unfilterable-float"}}:{binding:l,visibility:r,buffer:{type:i[u]}}),s=this.layouts.get(n)??this.device.createBindGroupLayout({entries:a});return this.layouts.set(n,s),s}bind(e,r,{digit:o=0,texture:n}={}){let i=r.map((a,s)=>{let u=a.split(":")[1];if(a.startsWith("texture:"))return{binding:s,resource:n.createView()};if(u!=="sort_digit")return{binding:s,resource:{buffer:this.buffer(u)}};let[l,c]=[o*Y,U.SortDigit.size];return{binding:s,resource:{buffer:this.buffer(u),offset:l,size:c}}});return this.device.createBindGroup({layout:e,entries:i})}makeTarget(e,r){let o=GPUTextureUsage.RENDER_ATTACHMENT|GPUTextureUsage.TEXTURE_BINDING,n=this.device.createTexture({size:[e,r],format:Q,usage:o}),i=this.bind(this.renderLayout(P),P,{texture:n}),a=this.bind(this.renderLayout(se),se,{texture:n});return{width:e,height:r,accumulation:n,composite:i,stage:a}}targetOf(e,r){return(this.target?.width!==e||this.target.height!==r)&&(this.target?.accumulation.destroy(),this.target=this.makeTarget(e,r)),this.target}writeView(e,r){let{T_cam_world:o,K:n,width:i,height:a}=e,s={world_to_camera:o.slice(0,12),background:[...r,1],focal:[n[0],n[4]],principal:[n[2],n[5]],viewport:[i,a],near_plane:he,blur:ye};this.device.queue.writeBuffer(this.buffer("view"),0,k("View",s))}encodeSplats(e,r){e.clearBuffer(this.buffer("frame_state"));let o=e.beginComputePass();for(let{pipeline:i,group:a,dispatch:s,rate:u}of this.steps)u==="pose"&&!this.isPoseNew||(o.setPipeline(i),o.setBindGroup(0,a),o.dispatchWorkgroups(s));o.end(),this.isPoseNew=!1;let n=e.beginRenderPass({colorAttachments:[Qe(r.accumulation.createView())]});n.setPipeline(this.draw),n.setBindGroup(0,this.drawGroup),n.setIndexBuffer(this.indices,"uint16"),n.drawIndexedIndirect(this.buffer("draw_arguments"),0),n.end()}encodeCover(e,r,o,n){let i=e.beginRenderPass({colorAttachments:[Qe(r)]});i.setPipeline(o),i.setBindGroup(0,n),i.draw(3),i.end()}};var Ze=(t,e)=>t[0]*e[0]+t[1]*e[1]+t[2]*e[2],C=(t,e)=>[t[1]*e[2]-t[2]*e[1],t[2]*e[0]-t[0]*e[2],t[0]*e[1]-t[1]*e[0]],h=(t,e)=>[t[0]*e,t[1]*e,t[2]*e],x=(t,e)=>[t[0]+e[0],t[1]+e[1],t[2]+e[2]],le=(t,e)=>x(t,h(e,-1));function E(t){let e=Math.hypot(...t);return e<1e-12?[0,0,0]:h(t,1/e)}function de(t,e){return le(t,h(e,Ze(t,e)))}function Ot(t,e,r){let o=E(le(e,t)),n=E(C(o,r)),i=C(o,n);return[n,i,o].flatMap(a=>[...a,-Ze(a,t)]).concat(0,0,0,1)}var ce=3.2,Ft=1.08,Vt=3/4,qe=85*Math.PI/180,Je=[.15,4],L=class{constructor(e,r,o,n){this.target=e;this.radius=r;this.up=E(o);let i=E(de(n,this.up)),a=Math.abs(this.up[0])<.9?[1,0,0]:[0,1,0];this.front=Math.hypot(...i)>.5?i:E(C(this.up,a))}target;radius;up;front;yaw=0;pitch=0;zoom=1;pan=[0,0,0];turn(e,r){this.yaw-=e*Math.PI,this.pitch=Math.min(qe,Math.max(-qe,this.pitch+r*Math.PI))}scale(e){this.zoom=Math.min(Je[1],Math.max(Je[0],this.zoom*e))}shift(e,r,o,n){let i=this.camera(o,n).T_cam_world,a=n*ce*this.radius*this.zoom/this.focal(o,n),s=[i[0],i[1],i[2]],u=[i[4],i[5],i[6]],l=le(this.pan,x(h(s,e*a),h(u,r*a))),c=Math.hypot(...l);this.pan=c>2*this.radius?h(l,2*this.radius/c):l}reset(){[this.yaw,this.pitch,this.zoom,this.pan]=[0,0,1,[0,0,0]]}focal(e,r){return .5*Math.min(r,e/Vt)*ce/Ft}camera(e,r){let o=C(this.up,this.front),n=x(h(this.front,Math.cos(this.yaw)),h(o,Math.sin(this.yaw))),i=x(h(n,Math.cos(this.pitch)),h(this.up,Math.sin(this.pitch))),a=x(this.target,this.pan),s=x(a,h(i,ce*this.radius*this.zoom)),u=this.focal(e,r);return{T_cam_world:Ot(s,a,this.up),K:[u,0,e/2,0,u,r/2,0,0,1],width:e,height:r}}};function O(t){if(t.length===0)return{x:0,y:0,spread:0};let e=t.reduce((o,n)=>o+n.x,0)/t.length,r=t.reduce((o,n)=>o+n.y,0)/t.length;return{x:e,y:r,spread:t.length<2?0:Math.hypot(t[0].x-t[1].x,t[0].y-t[1].y)}}function et(t,e,r){let o=new Map,n=O([]),i=!1,a=!1,s=()=>{if(a=!1,o.size===0)return;let c=O([...o.values()]),d=t.clientHeight,[m,g]=[(c.x-n.x)/d,(c.y-n.y)/d];o.size>1||i?e.shift(m,g,t.clientWidth,d):e.turn(m,g),n.spread>0&&c.spread>0&&e.scale(n.spread/c.spread),n=c,r()};t.addEventListener("pointerdown",c=>{s(),t.setPointerCapture(c.pointerId),o.set(c.pointerId,{x:c.clientX,y:c.clientY}),i=c.button!==0||c.shiftKey,n=O([...o.values()])}),t.addEventListener("pointermove",c=>{o.has(c.pointerId)&&(o.set(c.pointerId,{x:c.clientX,y:c.clientY}),a||requestAnimationFrame(s),a=!0)});let u=c=>{s(),o.delete(c.pointerId),n=O([...o.values()])};t.addEventListener("pointerup",u),t.addEventListener("pointercancel",u),t.addEventListener("contextmenu",c=>c.preventDefault()),t.addEventListener("dblclick",()=>{e.reset(),r()});let l=c=>{c.preventDefault();let d=c.deltaMode===WheelEvent.DOM_DELTA_LINE?c.deltaY*16:c.deltaY;e.scale(Math.exp(d*.0015*(c.ctrlKey?4:1))),r()};t.addEventListener("wheel",l,{passive:!1})}var $t=2,Ht=2560*1600,tt=[10,11],jt=.03,Wt=[.16,.16,.34],Xt=4,Kt=.25,Yt=.5,Qt=2,rt="the page is not drawing: its graphics device is lost or being replaced",fe=(t,e)=>t?.length===3&&t.every(Number.isFinite)?t:e,qt=(t,e)=>t[0]*e[0]+t[1]*e[1]+t[2]*e[2],F=class{constructor(e,r,o){this.page=e;this.avatar=r;this.player=o;let{meta:n}=r.header;this.skeleton=z(r);let i=o.frames[0];this.firstPelvis=this.joint(i,0),this.center=fe(n.center,this.firstPelvis);let a=[i.Rh[2],i.Rh[5],i.Rh[8]],s=fe(n.up,[0,1,0]);this.orbit=new L(this.center,n.radius??1,s,fe(n.front,a)),this.floor=this.floorHeight();let u=()=>{this.fixedPose=void 0,this.isDirty=!0};e.connect(o,u,()=>{this.orbit.reset(),this.isDirty=!0}),et(e.canvas,this.orbit,()=>{this.isDirty=!0}),new ResizeObserver(()=>{this.isDirty=!0}).observe(e.canvas)}page;avatar;player;orbit;pixelScale=1;renderer;context;fixedCamera;fixedPose;shownPose;isDirty=!0;inFlight=0;drawn=0;lastTick=Number.NaN;skeleton;center;firstPelvis;floor;attach(e,r,o){let n=this.page.canvas.getContext("webgpu");if(!n)throw new Error("the canvas gives no WebGPU context; load the page again");n.configure({device:r,format:o,alphaMode:"opaque"}),this.context=n,this.renderer=e,this.shownPose=void 0,this.inFlight=0,this.isDirty=!0}detach(){this.renderer=void 0}showPose(e){this.fixedPose=e,this.isDirty=!0}showCamera(e){this.fixedCamera=e,this.isDirty=!0}tick(e){let r=Number.isNaN(this.lastTick)?0:Math.max(0,e-this.lastTick)/1e3;this.lastTick=e,this.player.playing&&this.player.last>0&&!this.fixedPose&&(this.player.advance(r),this.isDirty=!0),!(!this.renderer||this.inFlight>=Qt)&&(this.follow(r)||this.isDirty)&&this.draw()}async draw(){let{renderer:e,context:r}=this;if(!e||!r)throw new Error(rt);this.isDirty=!1;let o=this.currentPose(),n=this.currentCamera(),{canvas:i}=this.page;i.width!==n.width&&(i.width=n.width),i.height!==n.height&&(i.height=n.height),this.uploadPose(e,o),e.present(r.getCurrentTexture(),n,this.stage(o)),this.page.showTime(this.player),this.inFlight++,await e.finished(),this.inFlight=Math.max(0,this.inFlight-1),this.drawn++}readPixels(e){if(!this.renderer)throw new Error(rt);return this.uploadPose(this.renderer,this.currentPose()),this.renderer.readPixels(this.currentCamera(),e)}takeDrawn(){let e=this.drawn;return this.drawn=0,e}currentPose(){return this.fixedPose??this.player.pose()}currentCamera(){if(this.fixedCamera)return this.fixedCamera;let{clientWidth:e,clientHeight:r}=this.page.canvas,o=Math.min(window.devicePixelRatio,$t)*this.pixelScale,n=Math.min(o,Math.sqrt(Ht/Math.max(1,e*r))),i=a=>Math.max(1,Math.round(a*n));return this.orbit.camera(i(e),i(r))}uploadPose(e,r){r!==this.shownPose&&(e.setPose(r),this.shownPose=r)}joint(e,r){let o=ie(this.skeleton,e);return[o[12*r+3],o[12*r+7],o[12*r+11]]}floorHeight(){let{frames:e}=this.player,r=Math.max(1,Math.floor(e.length/200)),o=e.filter((n,i)=>i%r===0).map(n=>Math.min(...tt.map(i=>qt(this.joint(n,i),this.orbit.up)))).sort((n,i)=>n-i);return o[Math.floor(.05*o.length)]-jt}follow(e){let r=this.joint(this.currentPose(),0),o=de([0,1,2].map(s=>r[s]-this.firstPelvis[s]),this.orbit.up),n=[0,1,2].map(s=>this.center[s]+o[s]-this.orbit.target[s]),i=Math.hypot(...n);if(i<1e-4)return!1;let a=i>Yt?1:1-Math.exp(-e/Kt);return this.orbit.target=[0,1,2].map(s=>this.orbit.target[s]+a*n[s]),!0}stage(e){let r=new Float32Array(ue);return r.set([...this.orbit.up,this.floor,...this.orbit.target,Xt]),[...tt,0].forEach((o,n)=>r.set([...this.joint(e,o),Wt[n]],8+4*n)),r}get numGaussians(){return this.avatar.header.num_gaussians}};var ot="avatar.mobavatar",nt="motion.pose.json",Jt=30,it=2,Zt=1e3;async function er(t){let e=i=>a=>{throw(a instanceof f||a instanceof _)&&(a.message=`${i}: ${a.message}`),a},r=ee(nt).then(i=>Re(new TextDecoder().decode(i))).catch(e(nt));r.catch(()=>{});let o=await ee(ot,i=>t.progress("Loading the avatar",i));return t.progress("Unpacking",1),{avatar:await be(o).catch(e(ot)),poses:await r}}function tr(t){return[t.vendor,t.architecture,t.description].filter(Boolean).join(" ")}async function st(t,e,r,o){let{device:n,adapter:i,format:a}=await Pe(),s=await D.create(n,e,a);return t.pixelScale=r>=it?.5:1,t.attach(s,n,a),n.lost.then(({message:u})=>{t.detach(),r<it?st(t,e,r+1,o).catch(o):o(new y("The graphics device was lost",`${u||"The driver gave no reason."}
Load the page again; if it comes back, close other pages first.`))}),tr(i)}function rr(t,e,r){let o=performance.now(),n=`${t.numGaussians.toLocaleString("en")} splats`,i=a=>{if(t.tick(a),a-o>Zt){let s=1e3*t.takeDrawn()/(a-o);o=a,e.readout(s>0?`${s.toFixed(s<10?1:0)} fps \xB7 ${n}`:n,r)}requestAnimationFrame(i)};e.readout(n,r),requestAnimationFrame(i)}function or(t){return e=>{console.error(e);let r=e instanceof f||e instanceof _||e instanceof w,o=e instanceof y?e.title:r?"The avatar could not be loaded":"The avatar cannot be drawn";t.message(o,e instanceof Error?e.message:String(e))}}function at(t,e,r){let o=t.flat();if(o.length===e&&o.every(Number.isFinite))return o;throw new Error(`${r} must be ${e} finite numbers, found ${o.length} values`)}var pe=class{constructor(e){this.ready=e}ready;viewer;adapter="";setPose(e){let{player:r}=this.shown;if(typeof e!="number"){this.shown.showPose(e===null?void 0:oe(e));return}let o=r.frames[e];if(!o)throw new Error(`there is no frame ${e}; the motion has frames 0..${r.last}`);this.shown.showPose(o)}setCamera(e){let r=e?{...e,T_cam_world:at(e.T_cam_world,16,"T_cam_world"),K:at(e.K,9,"K")}:void 0;this.shown.showCamera(r)}renderOnce(){return this.shown.draw()}readPixels(e=[0,0,0]){return this.shown.readPixels(e)}get info(){let{player:e,numGaussians:r}=this.shown;return{numGaussians:r,frames:e.frames.length,fps:e.fps,adapter:this.adapter}}get shown(){if(!this.viewer)throw new Error("the avatar is not there yet: await mobavatar.ready first");return this.viewer}};async function nr(t,e,r){await Z();let{avatar:o,poses:n}=await er(t),{fps:i,body:a,body_license:s}=o.header.meta,u=new N(n,i&&i>0?i:Jt);u.playing=!matchMedia("(prefers-reduced-motion: reduce)").matches;let l=new F(t,o,u);t.progress("Preparing the graphics device",1);let c=await st(l,o,0,e);await l.draw(),t.revealed(u),r(l,c),rr(l,t,[c,a&&`Body: ${a}`,s].filter(Boolean).join(`
`))}function ir(){let t=new B,e=or(t),r=nr(t,e,(n,i)=>Object.assign(o,{viewer:n,adapter:i})),o=new pe(r);window.mobavatar=o,r.catch(e)}ir();})();
