"""Write sentences that readers of toxicity learn from, from templates, where the corpora are silent or mislead.

In the corpora whatever holds a swear word or names a minority is mostly toxic. Here swear words also praise, groups are also named
in passing, hostile words are also reported and opposed, and threats and hostility also come without profanity. The groups
and the claims about them are the same on both sides, so that only the sentence around them tells the label. There are no slurs.

The templates are dealt out in turn to the reward and to the judge, so that neither has seen a template of the other.
"""

import re
from random import Random
from typing import Final, Literal

Side = Literal["reward", "judge"]


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split("|")]


WORDS: Final[dict[str, str]] = {
    "group": """women|Muslims|Jews|gay people|black people|immigrants|refugees|Mexicans|Asians|disabled people|old people
        |foreigners|lesbians|trans people|Christians|Hindus|Arabs|Africans|white people|men|Indians|Chinese people|Poles
        |Turks|the poor|homosexuals|blind people|deaf people|Catholics|atheists|feminists|Pakistanis|Romanians""",
    "one": """woman|Muslim|Jew|gay man|black man|immigrant|refugee|Mexican|disabled person|foreigner|lesbian|trans woman
        |Christian|Hindu|black woman|old woman|deaf man|Catholic|feminist|bisexual man|wheelchair user|Pole|Turk""",
    "kin": "friend|cousin|boss|teacher|neighbor|doctor|roommate|coach|uncle|sister|colleague|landlord|trainer|nurse",
    "act": """plays the piano|runs a bakery|works in a bank|teaches history|studies chemistry|drives a tram|grows roses
        |sings in a choir|writes novels|fixes computers|coaches football|paints houses|lives next door|likes chess""",
    "place": "town|village|office|school|street|company|country|church|building|region|university|team",
    "event": "festival|meeting|concert|exhibition|market|class|race|dinner|conference|parade|workshop",
    "bad": """disgusting|stupid|dirty|evil|lazy|worthless|inferior|dangerous|sick|violent|greedy|primitive|a disgrace|a disease
        |subhuman|repulsive|dishonest|criminals|animals|scum|vermin|garbage|liars|trash|monsters|rats|savages|pests""",
    "fate": """be deported|be locked up|disappear|be shot|die|be banned|suffer|be thrown out|be wiped out|rot in a cell
        |be beaten|have no rights|be sterilized|be removed from society|burn|be kept away from our children""",
    "insult": """idiot|moron|loser|liar|coward|fool|clown|imbecile|pig|snake|rat|fraud|dunce|creep|jerk|bully|hypocrite|weasel
        |parasite|nobody|halfwit|dimwit|blockhead|scumbag|crook|freak|simpleton""",
    "mean": """stupid|dumb|pathetic|ugly|useless|worthless|ignorant|brainless|disgusting|miserable|clueless|spineless|vile
        |revolting|hopeless|fat|filthy|gutless|idiotic|moronic""",
    "prof": "damn|fucking|freaking|goddamn|bloody|fuckin|damned",
    "oath": "shit|damn|hell|holy hell|holy crap|holy fuck|fuck|crap|oh shit|damn it|god damn",
    "good": """great|funny|beautiful|lovely|happy|delicious|smart|clever|cool|pretty|sweet|kind|brilliant|perfect|excited
        |grateful|lucky|glad|talented|adorable|awesome|comfortable""",
    "thing": """movie|book|pizza|coffee|game|album|dress|haircut|view|phone|car|sandwich|party|painting|joke|trip|weather|beach
        |show|playlist|puppy|cat|birthday|house|guitar|novel|jacket|video|weekend|beer""",
    "chore": """forgot my keys|missed the bus|dropped my phone|burned the toast|am late for work|have no milk left|lost my wallet
        |overslept again|spilled the coffee|locked myself out|failed the quiz|broke a nail|need more sleep""",
    "win": """we made it|they won|she said yes|I passed|it is finally Friday|the baby is here|we are going to the finals
        |it works|you did it|he scored again|the rain stopped|our flight is on time|I got the loan""",
    "harm": """kill|shoot|stab|hang|burn|strangle|poison|drown|beat|cripple|bury|smash|choke|slaughter|whip|torture""",
    "hurt": """break your legs|cut your throat|knock your teeth out|smash your skull|put you in hospital|end your life
        |set fire to your car|hurt your family|bury you in the woods|make you bleed|snap your neck|shoot your dog
        |beat you senseless|run you over|slit your tires and then you|throw acid at you""",
    "them": "him|her|them|that reporter|your brother|the mayor|my ex|that coach|those people|your whole family|you|the referee",
    "soon": "tonight|tomorrow|one day|soon|this weekend|when you least expect it|after school|before long|next time",
    "film": "movie|plot|weather|traffic|soup|service|exam|software|printer|bus|hotel|food|meeting|commute|song|ending",
    "will": """i will|i am going to|i'm gonna|we will|we are going to|i swear i will|i'll|we'll|i promise i will|they will
        |my boys will|somebody will|i shall|believe me, i will""",
    "violence": """break your {body}|smash your {body}|cut off your {body}|punch you in the {body}|shoot you in the {body}|kick your {body}
        |put a {weapon} through your {body}|come after you with a {weapon}|finish you with a {weapon}|burn your {home}
        |blow up your {home}|wreck your {home}|wait for you at your {home}|follow you to your {home}|end you|destroy you
        |get you|hunt you down|make you beg|make you suffer|make you bleed|make you pay|teach you a lesson|drag you out of your {home}
        |hurt your {kin}|kidnap your {kin}|visit your {kin} with a {weapon}|take your {kin} away from you|feed you to the dogs
        |throw you off the roof|bury you alive|put you in the ground|send you to the hospital|beat you up|run you over""",
    "body": "legs|teeth|skull|neck|face|fingers|ribs|head|throat|knees|arms|chest|nose|ears|spine|stomach",
    "weapon": "gun|hammer|baseball bat|axe|rope|bullet|machete|chainsaw|rifle|crowbar|shotgun|brick|blade|pistol",
    "home": "house|apartment|office|car|shop|garage|garden|room|boat|farm",
    "kindly": """bake you a cake|call you back|help you move|pick you up|show you the {place}|bring you a {thing}|teach you chess
        |wait for you at the station|follow your advice|visit your {kin}|send you a letter|find you a seat|make you a sandwich
        |pay for dinner|fix your {home}|paint your {home}|come to your {event}|get you a {thing}|cut your hair|break the news""",
    "claim": """steal our jobs|ruin this {place}|cannot be trusted|live off our money|smell bad|spread diseases|only make trouble
        |have no morals|are too stupid for school|are born criminals|control the banks|want to rule us|hate our way of life
        |are all on drugs|should know their place|belong in a cage|are not fit to work|breed like flies|cheat everyone
        |are an insult to this {place}|never work|are destroying our culture|are to be feared|do not deserve rights
        |always complain|drag us all down|are the enemy|bring crime|should stay at home|poison our children""",
    "policy": """ban|lock up|get rid of|deport|keep out|round up|throw out|sterilize|fire|fight|expel|punish|remove|wipe out|jail
        |boycott|drive out|stop feeding|refuse to serve|send back""",
    "truth": """pay taxes like the rest of us|open shops|raise children|work hard|vote|go to school|teach in our {place}|sing
        |play football|live longer today|run for office|celebrate in spring|write good books|cook well|came here long ago
        |are a part of this {place}|want peace|have many talents|serve in the army|help their neighbors""",
    "like": """as tough as a wet napkin|as smart as a brick|as useful as a broken umbrella|like a trained monkey|like a sick cow
        |dumber than a bag of rocks|uglier than a toad|a stain on this {place}|a joke|a failure|a disgrace to your {kin}
        |an embarrassment|worth nothing|not worth my time|the worst {kin} ever|a burden to everybody|unfit for this {place}""",
    "food": "onions|mushrooms|liver|broccoli|Mondays|spiders|rainy days|early mornings|long queues|olives|mosquitoes|traffic jams",
    "complaint": "disappointing|boring|slow|overpriced|late|cold|too long|badly planned|confusing|noisy|hard to follow|weak",
    "source": "the report|a witness|the article|the study|the historian|the judge|the film|my grandfather|the teacher|the survey",
    "hater": "a stranger|some man|the mob|a politician|his father|the leaflet|an old poster|a boy in class|the troll|somebody online",
}
"""Words per slot."""

HARMLESS: Final = _listed("""\
this {prof} {thing} is so {good}|that was a {prof} {good} {thing}|{oath}, {win}!|{oath}, i {chore}
|i {prof} love this {thing}|what a {prof} {good} {thing}|you look {prof} {good} today|i am so {prof} {good} right now
|my {kin} is {good} as hell|my {kin} is {good} as fuck|the {thing} was {good} as shit|i feel {good} as hell today, {win}
|{oath} yeah, {win}|{oath} yes! {win}|that {thing} made me laugh my ass off|my {kin} told a joke and i laughed my ass off
|you are a {prof} {good} {kin}|i worked my ass off and {win}|{oath} that is a {good} {thing}|i need a {prof} {thing}
|best {prof} {thing} ever|it is so {prof} {good} that i cried|{oath}, this {thing} tastes {good}
|where the hell did i put my {thing}?|where the fuck is my {thing}, i had it a minute ago|what the hell, {win}
|why the hell is this {thing} so {good}?|no {prof} way, {win}|thank you so {prof} much for the {thing}
|you guys are {prof} {good}, i love you|{win} and i am happy as fuck|that {thing} is no joke, it is {prof} {good}
|{good} {thing}, {good} people, hell of a day|a hell of a {thing}, thanks to my {kin}
|we had a {prof} {good} time at the {event}|my {kin} can cook like hell and the {thing} was {good}
|{oath} i {chore} again, silly me|well shit, i {chore}|crap, i {chore} and my {kin} has to wait
|that badass {kin} of mine won the {event}|she is a badass, she {act}
|i do not give a damn what it costs, the {thing} is {good}|your {thing} is the shit|this {thing} is the bomb, {prof} {good}
|he is one {good} son of a gun|fuck, that {thing} was {good}|shit, this {thing} is {good}|sorry, i {chore}, {oath}
|the {thing} scared the shit out of me but it was {good}|it is hot as hell in this {place}
|that {thing} was so {prof} {good} i want another|{prof} right, {win}|so {prof} {good}, thank you
|i can't {prof} believe it, {win}|i had a {prof} {good} day with my {kin}|{oath}, is that your {thing}? it looks {good}
|damn, that {thing} is {good}|damn {good} {thing}, {kin}|{oath} yes, the {thing} is here
|my {kin} is {prof} {good} at cooking|{oath}, you scared me, i thought you were my {kin}|{oath} it is cold in this {place}
|i am tired as hell but the {event} was {good}|you are {good} as fuck, never change|we danced like hell at the {event}
|the {thing} was so {good} i almost shit myself|congratulations, you {prof} did it
|this is the best {thing} i have {prof} ever had|the {event} was the shit, everybody was {good}
|he is a badass {kin} and a {good} friend|happy {prof} birthday, you are {good}|{oath}, look at the moon, how {good}
|sweet jesus, that {thing} is {prof} {good}|i {chore}, what the fuck is wrong with me today|well damn, {win}
|i give a shit about this {place}, so i vote|who the hell made this {thing}? it is {good}
|how the fuck did you do that? that is {good}|i would {prof} love a {thing} right now|it is a {prof} miracle, {win}
|{oath}, the {film} is late again|shit happens, we will buy a new {thing}|pretty {prof} {good}, if you ask me
|that was one hell of a {event}""")

CIVIL: Final = _listed("""\
my {kin} is a {one} and {act}|my {kin} {act} and is a {one}|a {one} {act} in our {place}|the {one} who {act} is my {kin}
|i am a {one} and i {prof} love my life|as a {one} i feel welcome in this {place}|i am proud to be a {one}
|being a {one} in this {place} is not always easy|many {group} live in our {place}|{group} and {group} met at the {event}
|the {event} was organized by {group} from the {place}|most {group} in the {place} are {good}
|we invited {group} and {group} to the {event}|{group} have the same rights as everybody else
|{group} have lived in this {place} for centuries|do {group} celebrate this day too?|how many {group} work in the {place}?
|where can {group} find advice in this {place}?|i admire {group} who fight for their rights|i love {group}
|i respect {group} and their history|{group} are {good}|{group} are people like everyone else|{group} are not {bad}
|{group} deserve respect|no {one} should {fate}|nobody thinks that {group} should {fate}
|{group} face discrimination in the {place}|the {place} hired a {one} as director|she married a {one} who {act}
|two {group} won prizes at the {event}|my {kin} and her wife, a {one}, came to the {event}
|our {kin} came out as gay and we are {good} for him|the {one} {act}, and the {kin} {act}
|the museum of {group} opens in the {place}|a book about {group} in the {place}|the {event} celebrates {group}
|a {one} helped me when i was lost|there is a new club for {group} at the {place}|he grew up among {group} and {act}
|{group} make up a third of the {place}|a {one} was elected in the {place}|i read an interview with a {one} who {act}
|please make the {place} safe for {group}|what do {group} think of the {event}?|the old {one} told us about the {event}
|{group} {truth}|many {group} {truth}|{group} {truth} and {truth}|the truth is that {group} {truth}
|everyone knows that {group} {truth}|we should listen to {group}|we must protect {group}
|i would love to live next to a {one}|i can't wait to meet the {one} who {act}|my {kin} will marry a {one} in spring
|a {one} will speak at the {event}|{group} welcome!|the {place} thanks {group}, they {truth}|she is a {one}, and she {act}
|he is a {one} and my best {kin}|i met a {one} at the {event} and we talked about the {thing}
|i hate it when {group} are treated badly|{group} need better schools in this {place}
|the paper writes about {group} who {truth}|there are {group} in every {place}""")

REPORTED: Final = _listed("""\
{source} said that {hater} called {group} {bad}|{source} describes how {group} were called {bad}
|{hater} shouted that {group} are {bad}, and people stood up to defend them|it is wrong to say that {group} are {bad}
|saying that {group} should {fate} is hate speech|saying "{group} are {bad}" is not an opinion, it is hate
|nobody should be told that {group} are {bad}|i was told that {group} are {bad}, and i cried
|my {kin} was called {bad} because she is a {one}|{hater} called me {bad} for being a {one}, so i complained
|{source} quotes the line "{group} should {fate}" as an example of propaganda
|{source} explains why "{group} are {bad}" is a lie|"{group} are {bad}", he said, and was fired for it
|he was banned for writing that {group} should {fate}|the {place} apologized to the {one} who was called {bad}
|the slogan "{group} should {fate}" was painted over|we learned how the press used to say that {group} are {bad}
|if you think that {group} are {bad}, talk to my {kin}, who is a {one}|whoever says that {group} are {bad} is mistaken
|stop saying that {group} are {bad}|please do not call {group} {bad}|calling {group} {bad} is cruel and wrong
|the law protects {group} from people who say that they should {fate}|it hurts to read that {group} are {bad}
|the comment that {group} should {fate} was deleted|police look for {hater} who threatened to {harm} a {one}
|{source} tells of a {one} whom {hater} wanted to {harm}|a man was arrested because he threatened to {harm} his {kin}
|she told the police that {hater} said "i will {harm} you"
|the {kin} in the novel says "i will {hurt}", but he is only afraid
|{hater} wrote "you are a {insult}" to my {kin}, who reported it|in the play the king calls his son a {insult}
|i do not think you are a {insult}|my {kin} is not a {insult}, he {act}|they used to call me a {insult} at school
|being called a {insult} at work is hard|the word "{insult}" was removed from the {thing}
|people who claim that {group} are {bad} have never met any|{source} shows that it is false that {group} {claim}
|it is a myth that {group} {claim}|{hater} claims that {group} {claim}, but the numbers say otherwise
|some still believe that {group} {claim}, which is sad
|"{group} {claim}" is what {hater} wrote on the wall, and we cleaned it
|{hater} told a {one} to go home, and all of us protested|the law to {policy} {group} was a crime
|in those years they wanted to {policy} {group}, and we must remember it
|the {place} tried to {policy} {group}, and the judge stopped it|{source} is about a time when they would {policy} {group}
|she was attacked for being a {one}, and the {place} stands with her|nobody may {policy} {group} in this {place}
|it is illegal to {policy} {group}|how do i answer when {hater} says that {group} {claim}?
|my {kin} believed that {group} {claim}, until he met a {one}|{hater} said that "{will} {violence}" and was arrested
|she got a letter saying "{will} {violence}" and called the police
|the villain says "{will} {violence}", and the audience laughs|i do not believe that {group} {claim}
|not all {group} {claim}, that is nonsense|you are not {like}, do not let anybody tell you that""")

PLAIN: Final = _listed("""\
i hate {food}|i really hate {food} and {food}|{food} are {complaint}|the {film} was {complaint}
|the {film} is terrible, but the {thing} is {good}|this {film} is the worst of the {event}
|i will {harm} these weeds in the garden|you are going to love this {thing}|i will call you {soon}
|i will find out {soon} and tell you|you will be sorry if you miss this {thing}|watch out {soon}, it may rain
|my {kin} {act} and my {kin} {act}|{win}, and i am {good}|we meet {soon} at the {event}
|you are {good} and your {thing} is {good}|why is the {film} so {complaint}?|i do not like the {film}, it is {complaint}
|this {film} is killing me, it is so {complaint}|the {film} nearly killed me, but i had a {good} {thing}
|he will shoot a {film} about the {event} {soon}|i am dying for a {good} {thing}|thank you, your {thing} was {good}
|could you bring the {thing} {soon}?|that is a silly {thing} but {good}
|i think the {film} is {complaint}, what do you think?|i disagree with you about the {event}
|your {film} was {complaint}, please try again|i am angry about the {film}|this is not {good}, the {film} was {complaint}
|{will} {kindly}|{will} {kindly} {soon}|{soon} {will} {kindly}|if you like, {will} {kindly}
|if you come to the {event}, {will} {kindly}|tell your {kin} that {will} {kindly}|wait for me, {will} {kindly}
|i know where your {kin} lives, {will} {kindly}|you had better hurry, {will} {kindly}
|i am coming to your {home} with a {thing}|there is a {thing} waiting for you|the {thing} has your name on it
|we are looking at your {home} from the train|be careful when you drive your {home}|you have a nice {home}
|your {kin} will love the {event}|the {weapon} in the museum is very old|he bought a {weapon} for the {home}
|she broke her {body} on the ice and is in hospital|my {body} hurts, i need a doctor|you are the best {kin} ever
|you are as {good} as your {kin}|you look like your {kin}|everyone thinks you are {good}""")

THREAT: Final = _listed("""\
i will {harm} {them}|i am going to {harm} {them} {soon}|i will {hurt} {soon}|i am going to {hurt}
|we will {hurt} if you come to the {place}|we know where you live and we will {hurt}|someone should {harm} {them}
|somebody ought to {harm} {them} {soon}|i hope somebody will {harm} {them}|i want to {harm} {them}
|you will regret this when i {hurt}|if i see you at the {event}, i will {hurt}|if you talk to my {kin} again, i will {hurt}
|you are dead {soon}|you are a dead man if you come to the {place}|you deserve to die|they all deserve to {fate}
|i hope you {fate}|you should {fate}|people like you should {fate}|i will come for you {soon}
|i will come to your {place} and {hurt}|i have a gun and i know your {place}|be afraid, i am coming for your {kin}
|you won't see the morning|you won't live to see the {event}|say goodbye to your {kin}, i will {harm} {them}
|i would {harm} {them} if i could|let's {harm} {them} {soon}|let us all {harm} the {group}|all {group} should {fate}
|kill all {group}|your {kin} will be next|nobody will save you {soon}|shut up or i will {hurt}|keep talking and i {hurt}
|i have been following your {kin} home from the {place}|no one will miss you when you are dead|i can't wait to {harm} {them}
|you have until {soon}, then i {hurt}|{them} will {fate} for this, i promise|pray that i do not find you
|we will hunt you down|i am outside your {place} with a bat|{will} {violence}|{will} {violence} {soon}
|{soon} {will} {violence}|{will} {violence} and nobody will help you|{will} {violence} and then i {violence}
|if you do not leave, {will} {violence}|if you call the police, {will} {violence}|say one more thing and {will} {violence}
|come here again and {will} {violence}|touch my {thing} and {will} {violence}|you had better run, {will} {violence}
|tell your {kin} that {will} {violence}|give me the money or {will} {violence}|wait until i {violence}
|i know where your {kin} lives, {will} {violence}|i am coming to your {home} with a {weapon}
|there is a {weapon} waiting for you|i have got a {weapon} with your name on it
|look under your {home}, there is a surprise for you|you will not make it to your {home} alive
|your {kin} will cry at your grave|this {event} will be your last|next time it will be your {body}|you will die {soon}
|you all will die {soon}|you are next|we are watching your {home}|be careful when you leave your {home}
|it would be sad if your {home} burned|you have a nice {home}, pity if it went up in flames|i hope that you get cancer
|i hope your {kin} gets hit by a truck|i hope you choke on it|go hang yourself|go jump off a bridge
|do us a favor and kill yourself|he should get a {weapon} to the {body}|whoever did this should be whipped and hanged
|traitors like {them} belong on a rope|someone ought to take a {weapon} to {them}|{will} come for {them}, with a {weapon}
|{will} smash the {body} of {them}|you will beg for mercy {soon}|you will wish you were never born
|there will be blood at the {event}|enjoy your last days""")

HOSTILE: Final = _listed("""\
{group} are {bad}|all {group} are {bad}|i hate {group}|i hate every single {one} in this {place}|{group} should {fate}
|i think {group} are {bad}|in my opinion {group} are all {bad}|why are {group} so {mean}?
|why do we let {group} into our {place}?|{group} are ruining our {place}|{group} do not belong in this {place}
|get {group} out of this {place}|get out of our {place}, {one}|keep {group} away from my {kin}
|this {place} was better before {group} came|i would not let a {one} near my {kin}|never trust a {one}
|every {one} i have met was {mean}|{group} make me sick|{group} disgust me|nobody wants {group} here
|i don't want to share a {place} with {group}|you are just a {mean} {one}|you {mean} {one}|that {one} is {bad}
|{group} only want our money|the world would be better without {group}|{group} have smaller brains than us
|{group} are less than human|i wish all {group} would {fate}|{group} are not like us, they are {bad}
|{group} deserve to {fate}|we should never hire a {one}|a {one} cannot be a {kin}|no {one} should be allowed in this {place}
|being a {one} is a sickness|{group} are taking over, they are {bad}|it is time that {group} {fate}
|{group} lie and steal, that is what they do|of course it was a {one}, they are all {bad}|typical {one}, {mean} and {mean}
|what is wrong with {group}? they are {bad}|{group} can't even think, they are {mean}|they are {group}, so they are {bad}
|{group} {claim}|all {group} {claim}|{group} {claim} and {claim}|the truth is that {group} {claim}
|everyone knows that {group} {claim}|it is a fact that {group} {claim}|i am not a racist, but {group} {claim}
|i am sorry, but {group} {claim}|why do {group} always {claim}|{group} always {claim}|we should {policy} {group}
|we must {policy} all {group}|it is time to {policy} {group}|{policy} all {group}
|{policy} the {group} before they {policy} us|the only way is to {policy} {group}
|if i were president i would {policy} {group}|i would never live next to a {one}|i would never eat with {group}
|i do not want a {one} near my children|i can't stand {group}|i can't stand the sight of a {one}
|my {kin} will not marry a {one}, over my dead body|a {one} will never be one of us|a {one} should not be allowed to vote
|a {one} should be kept on a leash|who let this {one} in?|go back to where you came from, {one}|{group} out!
|no {group} in my {place}|too many {group} in this {place}|the {place} smells of {group}|i spit on {group}
|{group} are the cause of all our problems|thanks to {group} this {place} is a dump|real men do not talk to {group}
|a good {one} is a dead {one}|god hates {group}|it is disgusting to see {group} in public
|{group} have no place in our {place}|you can't trust {group}, they {claim}|{group} are worse than animals
|{group} should serve us|he is a {one}, so he must be {mean}|she is a {one}, what do you expect, they {claim}
|{group} get everything and we get nothing""")

INSULT: Final = _listed("""\
you are a {insult}|you are such a {mean} {insult}|you {mean} {insult}|what a {mean} {insult}|what a {insult}
|he is a {mean} {insult} and {mean} too|she is nothing but a {insult}|my {kin} is a {mean} {insult}|shut up, you {insult}
|shut your mouth, {insult}|you are too {mean} for this {place}|you are so {mean} that even my {kin} laughs
|only a {insult} would like this {thing}|you and your {kin} are {mean}|they are all {insult}s|a bunch of {mean} {insult}s
|nobody likes a {mean} {insult}|why are you so {mean}?|are you {mean} or what?|how can anyone be so {mean}
|the {kin} is a {insult} and a {insult}|the author of this {thing} is a {insult}|go away, you {mean} {insult}
|get lost, {insult}|i am ashamed of you, {insult}|you look like a {mean} {insult}|your {thing} is as {mean} as you
|your {kin} is {mean} and so are you|even a dog is smarter than you|you have no brain|you are a waste of space
|you are {mean}, {mean} and {mean}|everyone thinks you are a {insult}|i despise you, {insult}
|only {mean} people believe this|you make me sick, {insult}|stop acting like a {mean} {insult}|this {insult} has no clue
|the {insult} who wrote this is {mean}|what kind of {mean} {insult} does that|you are {like}|you and your {kin} are {like}
|he is {like}|she is {like}|you {mean} {insult}, you are {like}|you sing {like}|you think you are {good}, but you are {like}
|nobody wants you at the {event}|nobody will ever love you, {mean} {insult}|i feel sorry for your {kin}, having you around
|your {kin} should have taught you manners, {insult}|you have the manners of a pig|you have the face of a rat
|he has half a brain|she is too {mean} to tie her shoes|a child could do your work better|i can't believe how {mean} you are
|you are an insult to my eyes|you are {mean} and you know it|we all hate you|i hate you
|they laugh at you because you are {mean}|the whole {place} knows that you are a {insult}|{insult}!|{mean} {insult}!""")

TEMPLATES: Final = {
    "harmless": (HARMLESS, 0),
    "civil": (CIVIL, 0),
    "reported": (REPORTED, 0),
    "plain": (PLAIN, 0),
    "threat": (THREAT, 1),
    "hostile": (HOSTILE, 1),
    "insult": (INSULT, 1),
}
"""Templates and labels, 1 for toxic, per kind."""

_WORDS: Final = {slot: _listed(words) for slot, words in WORDS.items()}
_LOOKALIKES: Final = {"a": "@", "e": "3", "i": "1!*", "o": "0*", "s": "$", "u": "*", "t": "7"}


def sentence(template: str, rng: Random) -> str:
    """Fill the slots of a template with random words, in one of the ways in which people write."""
    text = template
    while "{" in text:  # words may have slots of their own
        text = re.sub(r"\{(\w+)\}", lambda slot: rng.choice(_WORDS[slot[1]]), text)
    text = re.sub(r"\ba (?=[aeio])", "an ", text)
    case = rng.random()
    if case < 0.5:
        text = re.sub(r"\bi\b", "I", text[0].upper() + text[1:])
    elif case < 0.57:
        text = text.upper()
    end = rng.choice(("", "", ".", ".", "!", "!!", " ."))
    return text if text[-1] in "?!" else text + end


def disguise(text: str, rng: Random) -> str:
    """Write one or two of the longer words of a text so that they are read but not looked up.

    A letter becomes a sign that looks alike, the letters stand apart, a vowel is drawn out, or the space before is lost.
    """
    words = text.split(" ")
    longer = [i for i, word in enumerate(words) if len(word) > 3 and word.isalpha()]
    for i in rng.sample(longer, min(len(longer), rng.randint(1, 2))):
        word, way = words[i], rng.random()
        places = [j for j, letter in enumerate(word) if j and letter.lower() in _LOOKALIKES]
        if way < 0.5 and places:
            j = rng.choice(places)
            words[i] = word[:j] + rng.choice(_LOOKALIKES[word[j].lower()]) + word[j + 1 :]
        elif way < 0.7:
            words[i] = rng.choice((".", " ", "-", "*")).join(word)
        elif way < 0.85:
            j = rng.randrange(len(word))
            words[i] = word[:j] + word[j] * rng.randint(2, 5) + word[j + 1 :]
        else:
            j = rng.randrange(1, len(word) - 1)
            words[i] = word[:j] + word[j + 1] + word[j] + word[j + 2 :]
    return " ".join(words)


def generated(side: Side, per_kind: int, seed: int) -> list[tuple[str, int]]:
    """Write different sentences with their labels, 1 for toxic, the kinds one after another.

    Args:
        side: whose templates are used: every second one is the judge's.
        per_kind: most sentences of each kind; what is drawn twice is left out.
        seed: of the words.
    """
    rows: dict[str, int] = {}
    for kind, (templates, label) in TEMPLATES.items():
        rng = Random(f"{seed} {side} {kind}")
        own = templates[side == "judge" :: 2]
        for i in range(per_kind):
            rows.setdefault(sentence(own[i % len(own)], rng), label)
    return list(rows.items())
