//! Concepts: words of both languages that mean the same thing to a shop's desk. They say nothing by themselves; the model
//! learns what each speaks for. What it learns from an English message it thereby
//! knows of a Chinese one, and of a word that never stood in the training data.

/// Each concept's name with its phrases, separated by `|`; a phrase may stand in several.
#[rustfmt::skip]
pub const CONCEPTS: &[(&str, &str)] = &[
    ("money", "money | cash | amount | sum | funds | euro | euros | eur | dollar* | usd | pound | pounds | quid | bucks | gbp | yen | £ | $ | € | ¥ | difference | deposit | fare | fee | fees | tuition | balance \
        | 钱 | 款 | 元 | 块钱 | 金额 | 费用 | 差价 | 押金 | 定金 | 票款 | 学费 | 余额 | 人民币 | 现金"),
    ("back", "back | reverse* | reversal | undo | release* | repay* | repaid | reimburs* | refund* | credited | compensat* | return ~ money | pay out | paid out | entitled \
        | 退款 | 退还 | 退钱 | 退给 | 退费 | 返还 | 归还 | 还给 | 还我 | 打回 | 原路 | 解冻 | 赔 | 退票 | 刷退 | 退差 | 到账 | 入账 | 打款"),
    ("bank", "card | bank | paypal | visa | mastercard | amex | klarna | credit card | debit card | bank account | statement | apple pay | google pay | iban \
        | 卡上 | 卡里 | 银行 | 信用卡 | 银行卡 | 储蓄卡 | 支付宝 | 微信支付 | 花呗 | 白条 | 零钱 | 账上"),
    ("charge", "charg* | debit* | billed | deduct* | collected | collecting | took | taken | withdrew | withdrawn | taking | fees | surcharge | overcharg* | invoiced \
        | 扣 | 收费 | 划走 | 扣款 | 扣费 | 收了我 | 多收 | 请款 | 乱收 | 滞纳金 | 手续费 | 服务费"),
    ("double", "twice | double* | duplicate* | two times | two charges | both | again and again | x2 | 2x \
        | 两次 | 两遍 | 重复 | 两笔 | 双份 | 二次 | 双倍 | 多了一笔"),
    ("price", "price* | pricing | rate | rates | cost | costs | total | discount* | % | percent | cheaper | expensive | reduced | sale | offer | deal | free of charge \
        | 价格 | 价钱 | 多少钱 | 打折 | 优惠 | 便宜 | 贵 | 报价 | 折扣 | 活动价 | 特价 | 降价 | 单价 | 总价 | 免费"),
    ("invoice", "invoice* | receipt* | bill | bills | billing | statement | vat | tax | credit note | proforma | reminder | dunning | accountant | bookkeep* | accounts payable | accounting | cost centre | cost center | tax number | paperwork | expenses \
        | 发票 | 开票 | 抬头 | 税号 | 收据 | 账单 | 对账 | 专票 | 普票 | 统编 | 统一编号 | 载具 | 报销 | 会计 | 财务 | 催款 | 票据 | 税点 | 开具 | 重开 | 补开 | 作废"),
    ("pay", "pay | paid | pays | paying | payment* | instal* | transfer* | checkout | check out | settle* | prepay* | prepaid | cash on delivery \
        | 付款 | 支付 | 付了 | 付不 | 付钱 | 已付 | 转账 | 分期 | 结账 | 买单 | 缴费 | 汇款 | 货到付款 | 付完 | 付清 | 结算"),
    ("plan", "subscription* | subscribe* | plan | plans | renew* | membership | contract | monthly | annual | yearly | licence* | license* | tariff | trial | seats \
        | 订阅 | 套餐 | 续费 | 续订 | 会员费 | 合同 | 年费 | 月费 | 包月 | 包年 | 试用 | 续期 | 会籍 | 年卡 | 月卡"),
    ("voucher", "coupon* | code | codes | voucher* | gift card* | promo* | gift certificate | store credit \
        | 券 | 优惠码 | 折扣码 | 红包 | 礼品卡 | 满减 | 立减 | 储值卡 | 购物卡"),
    ("long ago", "weeks | days | months | since | still | yet | ago | overdue | late | so long | ages | forever | last week | last month | meanwhile | to date | until now | delayed | delay \
        | 天了 | 周了 | 星期了 | 个月了 | 一直 | 至今 | 还没 | 还是没 | 迟迟 | 半个月 | 等了 | 拖 | 这么久 | 好久 | 多久了 | 上周 | 上个月 | 到现在 | 仍 | 依然"),
    ("parcel", "parcel* | package* | box | boxes | shipment* | consignment* | carton* | crate* | pallet* | letter | goods | delivery | deliveries | packet | envelope | freight \
        | 包裹 | 快递 | 货物 | 箱 | 物流 | 托盘 | 快件 | 邮件 | 货品 | 件货 | 一箱 | 宅配 | 的货 | 货到 | 到货"),
    ("carrier", "courier* | driver* | postman | postie | carrier | van | truck | lorry | dhl | ups | fedex | usps | dpd | gls | hermes | evri | royal mail | depot | hub | haulier | post office | sorting | customs | mailman | delivery man | delivery men | delivery guy \
        | 快递员 | 司机 | 派送员 | 配送员 | 送货员 | 小哥 | 顺丰 | 中通 | 圆通 | 韵达 | 申通 | 极兔 | 京东 | 邮政 | 承运 | 站点 | 网点 | 驿站 | 分拨 | 货运 | 海关 | 中转 | 货车 | 送货师傅 | 快递柜 | 超商 | 门市"),
    ("arrive", "arriv* | deliver* | come | comes | came | get here | got here | show up | showed up | shown up | turn up | turned up | reach* | land | landed | due | receive* | expected | get to me | in my hands | handed \
        | 收到 | 送到 | 送达 | 到货 | 签收 | 派送 | 能到 | 没到 | 才到 | 就到 | 到了 | 该到 | 抵达 | 送来 | 送货 | 配送 | 到手"),
    ("where", "where | wheres | whereabouts | track | tracks | tracking | status | location | eta | any news | any update | when will | when is | on its way | in transit | out for delivery | locate | trace | look into \
        | 哪里 | 在哪 | 到哪 | 去哪 | 跟踪 | 查询 | 进度 | 状态 | 物流信息 | 什么时候到 | 几号到 | 何时到 | 哪天到 | 运输中 | 在途 | 查一下 | 查下 | 下落 | 去向 | 单号"),
    ("not come", "not arrived | hasnt arrived | never arrived | didnt arrive | hasnt come | never came | didnt come | nothing came | no sign | not here | not been delivered | hasnt been delivered | not received | never received | havent received | didnt receive | havent got | lost | vanished | disappeared | nowhere | not there | nobody came | no one came | no show | empty \
        | 没收到 | 没有收到 | 未收到 | 没到 | 未到 | 不见了 | 丢件 | 弄丢 | 丢了 | 没动静 | 没更新 | 不更新 | 没来 | 没人来 | 没送 | 没影 | 没看到 | 不知去向 | 查不到 | 失踪"),
    ("transit damage", "crushed | dented | squashed | soaked | wet | rain | dropped | in transit | during transport | transport damage | outer box | tape | packaging | thrown | left outside | fragile | upside down | bent \
        | 压坏 | 压扁 | 淋湿 | 淋雨 | 摔 | 变形 | 运输 | 外箱 | 包装破 | 胶带 | 泡水 | 磕 | 碰坏 | 瘪 | 暴力 | 湿透"),
    ("ship", "ship* | send | sends | sent | sending | dispatch* | post | posted | mailed | forward* | express | overnight | leave the warehouse | left the warehouse \
        | 发货 | 寄 | 发出 | 出库 | 邮寄 | 发走 | 加急 | 发来 | 寄来 | 寄到 | 出货 | 发件 | 快发"),
    ("send back", "send ~ back | sent ~ back | sending ~ back | return* | ship ~ back | post ~ back | take ~ back | took ~ back | bring ~ back | give ~ back | going back | collect* | pick up | pick it up | pick them up | picked up | pickup | label | rma | returns | drop off | hand in \
        | 退货 | 寄回 | 退回 | 取件 | 拉走 | 拉回 | 上门取 | 来取 | 取走 | 收回 | 寄还 | 退掉 | 想退 | 能退 | 要退 | 退换 | 回收 | 来收 | 运费险"),
    ("replace", "replac* | exchang* | swap* | new one | new ones | another one | a different one | right one | right ones | correct one | correct ones | proper one | fresh one | working one | spare | spares | substitute | resend | send again | redeliver \
        | 换一 | 换个 | 换成 | 换货 | 换新 | 换大 | 换小 | 给换 | 能换 | 可以换 | 想换 | 要换 | 补发 | 补寄 | 补一 | 调换 | 更换 | 重发 | 重新发 | 重新寄 | 另发 | 再发 | 新的 | 正确的 | 对的"),
    ("wrong item", "wrong | not what i ordered | not what we ordered | instead of | mixed up | mix up | mislabel* | someone elses | different from | not the one | other model | nothing like | as described | as pictured | mistake \
        | 发错 | 寄错 | 装错 | 拿错 | 错的 | 不是我 | 不符 | 不一样 | 不对 | 配错 | 送错 | 贴错 | 描述 | 实物 | 图片"),
    ("fit", "size | sizes | sizing | fit | fits | fitting | small | smaller | big | bigger | large | larger | tight | loose | too long | too short | narrow | wide | petite | tall | runs small | true to size | waist | sleeves | colour | color | shade \
        | 尺码 | 尺寸 | 码 | 偏大 | 偏小 | 太大 | 太小 | 合身 | 合脚 | 紧 | 太长 | 太短 | 宽松 | 肥 | 瘦 | 小一号 | 大一号 | 颜色 | 色差 | 版型 | 腰围 | 合适"),
    ("part", "missing | part | parts | piece | pieces | lid | screw | screws | only one | only two | incomplete | accessory | accessories | leg | handle | panel | wheel | cap | component | short by | instead of two \
        | 少了 | 少一 | 缺 | 漏 | 配件 | 不全 | 零件 | 螺丝 | 盖子 | 只有一 | 只收到 | 少发 | 没有配 | 部件 | 板子 | 轮子 | 把手"),
    ("defect", "broken | broke | breaks | defect* | faulty | crack* | torn | tore | chipped | hole | holes | stain* | scratch* | wobbl* | peel* | ripped | shattered | smashed | snapped | rust* | loose | mould* | mold* | rotten | expired | worn | used | dirty | smell* | leak* | bent | fell apart | came off | warped | shrunk | faded | damage* | in pieces | second hand \
        | 坏 | 裂 | 破 | 瑕疵 | 开胶 | 有洞 | 污渍 | 起球 | 掉色 | 碎 | 脱线 | 生锈 | 发霉 | 烂 | 过期 | 变质 | 划痕 | 有味 | 异味 | 脏 | 断了 | 散架 | 松 | 歪 | 二手 | 翻新 | 用过 | 缩水 | 褪色 | 质量问题"),
    ("warranty", "warranty | guarantee* | repair* | under warranty | service centre | service center | technician | engineer | mend | fix | fixed | fixing | spare part* \
        | 保修 | 质保 | 维修 | 三包 | 修理 | 返修 | 师傅 | 售后 | 修好 | 保固 | 检修 | 上门"),
    ("malfunction", "not working | doesnt work | dont work | didnt work | wont work | stopped working | stops working | dead | died | crash* | freez* | frozen | hang | hangs | hung | stuck | error* | wont | turn on | turns on | switch on | not respond* | nothing happens | blank | black screen | noise | noises | reboot* | overheat* | hot | flicker* | disconnect* | drops | fails | failed | fault | faults | glitch* | bug | bugs | slow | lag* | loop | jammed | does nothing | greyed | garbled | corrupt* | beeps | shuts down | cuts out | wrong reading | stops after \
        | 不工作 | 死机 | 闪退 | 卡死 | 卡住 | 很卡 | 打不开 | 没反应 | 黑屏 | 白屏 | 白页 | 空白 | 报错 | 出错 | 错误 | 失灵 | 异响 | 噪音 | 漏水 | 断开 | 断网 | 连不上 | 开不了 | 充不 | 不亮 | 不转 | 不制冷 | 不加热 | 故障 | 转圈 | 加载 | 失败 | 没声音 | 花屏 | 跳闸 | 发烫 | 崩溃 | 用不了 | 不能用 | 无法 | 没法用 | 掉线 | 不准 | 不显示 | 搜不到 | 搜寻不到 | 停了 | 点不"),
    ("device", "phone | smartphone | laptop | computer | pc | tv | television | monitor | printer | router | modem | camera | headphones | earbuds | headset | speaker | tablet | watch | drone | vacuum | robot | fridge | freezer | washer | washing machine | dishwasher | oven | microwave | kettle | toaster | blender | heater | boiler | thermostat | lamp | charger | battery | cable | machine | device | console | keyboard | mouse | scanner | e-reader | reader | scale | drill | bike | scooter | car | lift | elevator | remote | sensor | motor | pump | switch \
        | 手机 | 电脑 | 电视 | 显示器 | 打印机 | 路由器 | 相机 | 摄像头 | 耳机 | 音箱 | 平板 | 手表 | 手环 | 无人机 | 吸尘器 | 扫地机 | 冰箱 | 冰柜 | 洗衣机 | 洗碗机 | 烤箱 | 微波炉 | 水壶 | 空调 | 热水器 | 灯 | 充电器 | 电池 | 机器 | 设备 | 键盘 | 鼠标 | 电饭煲 | 除湿机 | 投影 | 遥控 | 电梯 | 电钻 | 车机 | 血压计 | 温控"),
    ("software", "app | apps | website | site | page | pages | browser | button | click | clicks | clicking | tap | update | updated | updates | version | install* | reinstall* | sync* | export* | import* | server | screen | link | pdf | api | chrome | firefox | safari | edge | android | ios | iphone | windows | mac | bluetooth | wifi | wi-fi | internet | network | firmware | software | download* | upload* | cart | basket | form | dashboard | webhook* | file | files | icon | menu | online | offline | scan | qr \
        | 应用 | 软件 | 网站 | 网页 | 页面 | 按钮 | 点击 | 更新 | 升级 | 版本 | 安装 | 重装 | 同步 | 导出 | 导入 | 系统 | 小程序 | 浏览器 | 安卓 | 苹果 | 蓝牙 | 网络 | 固件 | 下载 | 上传 | 购物车 | 提交 | 界面 | 接口 | 服务器 | 二维码 | 链接 | 存档 | 后台 | 屏幕"),
    ("tried", "tried | restart* | reset | reinstalled | unplug* | cleaned | rebooted | cleared | switched it off | turned it off | off and on | another browser | other browser | new batteries | different cable | followed the \
        | 试过 | 试了 | 重启 | 重装 | 复位 | 换了浏览器 | 换浏览器 | 拔 | 清理 | 擦过 | 清缓存 | 恢复出厂 | 重新开机 | 换了电池 | 重登 | 都一样 | 也一样 | 没用 | 还是不行 | 也不行"),
    ("how to", "how do i | how do you | how to | how can i | how does | how would i | is there a way | manual | instructions | guide | set up | setup | steps | step by step | show me | explain \
        | 怎么 | 如何 | 说明书 | 教程 | 怎样 | 步骤 | 教一下 | 教我 | 设置 | 指导 | 咋"),
    ("login", "log in | login | logged in | logging in | sign in | signed in | password* | passcode | username | user name | verification | locked | lock me | blocked | unlock | authenticator | two factor | 2fa | reset mail | reset link | access | credentials | log on | session | hacked | otp \
        | 登录 | 登陆 | 登入 | 登不 | 密码 | 验证码 | 锁了 | 被锁 | 锁定 | 解锁 | 用户名 | 动态口令 | 进不去 | 封号 | 冻结 | 被盗 | 盗号 | 找回"),
    ("profile", "account | accounts | profile | my details | email address | e-mail address | my email | my e-mail | phone number | surname | maiden name | registered | register | registration | sign up | user | customer number | customer record | admin | nickname | date of birth | member | members \
        | 账号 | 账户 | 帐号 | 会员 | 资料 | 邮箱 | 信箱 | 手机号 | 注册 | 绑定 | 换绑 | 解绑 | 姓名 | 改名 | 昵称 | 生日 | 实名 | 认证 | 管理员 | 客户号 | 用户 | 头像"),
    ("data", "data | gdpr | delete | deleted | erase | erasure | remove my | remove me | privacy | unsubscribe* | newsletter | mailing list | personal information | stored | consent | marketing emails | stop sending | stop emailing | close my account | deactivate* | opt out \
        | 数据 | 删除 | 删掉 | 注销 | 销户 | 隐私 | 退订 | 个人信息 | 推送 | 短信骚扰 | 停用 | 撤回同意 | 清空 | 别再发"),
    ("points", "points | loyalty | status | tier | gold | silver | platinum | rewards | reward | miles | stamps | bonus | cashback | level \
        | 积分 | 等级 | 金卡 | 银卡 | 里程 | 返现 | 成长值 | 权益 | 会员卡"),
    ("cancel", "cancel* | call off | called off | withdraw | stop | no longer need | no longer want | dont need | dont want | strike | scrap | forget it | changed my mind | changed our mind | not needed | take off | drop it | pull | abort | skip | pause | leave out | remove \
        | 取消 | 不要了 | 不想要 | 撤 | 不需要 | 不用了 | 停止 | 去掉 | 划掉 | 删了 | 不买了 | 不办了 | 拦 | 别发 | 先别 | 暂停 | 停一 | 跳过 | 不做了"),
    ("change", "change | changed | changing | amend* | modify | edit | correct | correction | switch | alter | make it | shift | move | moved | adjust | put it on | convert | revise* | rather have | upgrade \
        | 改成 | 改为 | 改到 | 改一下 | 修改 | 更改 | 换成 | 调整 | 更正 | 变更 | 挪 | 推迟 | 延后 | 往后 | 提前 | 改下 | 帮改 | 改送 | 改期 | 顺延 | 想改 | 要改 | 可以改 | 能改 | 写错 | 填错"),
    ("quantity", "add | added | extra | one more | two more | another | increase | reduce | quantity | pcs | units | fewer | additional | only need | only want | combine | put in \
        | 再加 | 加一 | 多要 | 增加 | 减 | 数量 | 少要 | 多加 | 加上 | 添 | 凑 | 合并 | 一起发 | 件改"),
    ("address", "address | street | flat | postcode | zip | house number | deliver it to | send it to | office | lane | road | avenue | apartment | new place | moved house | moved last | neighbour* | recipient | city \
        | 地址 | 门牌 | 送到 | 寄到 | 小区 | 街 | 号楼 | 单元 | 公司地址 | 搬家 | 新家 | 收件人 | 收货人 | 默认地址 | 邻居"),
    ("before ship", "before it ships | before you ship | not shipped | hasnt shipped | hasnt left | not left | just ordered | just placed | minutes ago | min ago | an hour ago | this morning | yesterday evening | by mistake | by accident | accidentally | oops | typo | too late to | in time | still being | being prepared | processing | packed | picking | production | not yet \
        | 还没发 | 未发货 | 没发货 | 刚下单 | 刚拍 | 刚买 | 刚刚 | 手滑 | 点错 | 拍错 | 选错 | 下错 | 误下 | 来得及 | 没出库 | 趁 | 待发货 | 打包 | 备货 | 拣货 | 还没做 | 没开始"),
    ("booking", "booking | booked | book | reservation | reserve* | flight* | ticket | tickets | seat | seats | hotel | room | trip | check in | appointment | table | tour | cabin | train | travel | holiday | class | course | lesson* | gym | concert | event | stay \
        | 预订 | 订房 | 航班 | 机票 | 车票 | 座位 | 酒店 | 房间 | 入住 | 预约 | 行程 | 旅行 | 课程 | 健身 | 演唱会 | 门票 | 包间 | 桌 | 改签 | 民宿 | 出行 | 上课 | 订位"),
    ("date", "date | time | slot | earlier | later | next week | monday | tuesday | wednesday | thursday | friday | saturday | sunday | hold | postpone* | reschedul* | until | oclock | morning | afternoon | evening | between \
        | 日期 | 时间 | 改天 | 下周 | 周一 | 周二 | 周三 | 周四 | 周五 | 周六 | 周日 | 晚几天 | 上午 | 下午 | 晚上 | 几点 | 月 | 号前 | 时段"),
    ("staff", "staff | employee* | agent* | manager* | assistant* | cashier | representative | rep | technician | colleague* | supervisor* | your people | guide | receptionist | clerk | operator | salesman | saleswoman | salesperson | advisor | consultant | waiter | pharmacist | fitter | guy | lady | gentleman | team member | management | head office | boss | support \
        | 客服 | 店员 | 员工 | 经理 | 主管 | 师傅 | 工作人员 | 前台 | 导购 | 收银 | 顾问 | 导游 | 老板 | 领导 | 业务员 | 销售 | 服务员 | 专员 | 同事 | 保安 | 店长 | 安装工 | 药师 | 门店的"),
    ("rude", "rude* | unfriendly | impolite | attitude | laugh* | rolled | ignor* | hung up | hang up | put the phone down | insult* | shout* | yell* | swore | swear* | lied | liar | lying | lies | disrespect* | treated | treat | humiliat* | arrogan* | tone | condescend* | patroni* | sneer* | mocked | mocking | abusive | discriminat* | embarrass* | snapped at | cold | indifferent | lecture* | dismiss* | careless* | unprofessional | drunk | smoked | shrugged | accused | smirk* \
        | 态度 | 骂 | 不耐烦 | 甩脸 | 白眼 | 挂了 | 挂断 | 挂我 | 敷衍 | 不理 | 无礼 | 嘲笑 | 冷漠 | 阴阳怪气 | 吼 | 凶 | 没礼貌 | 爱答不理 | 不尊重 | 羞辱 | 歧视 | 推卸 | 推脱 | 傲慢 | 撒谎 | 骗 | 忽悠 | 冷嘲 | 训 | 喝了酒 | 不专业 | 嫌弃"),
    ("no reply", "nobody | no one | noone | no reply | no response | call back | called back | ring back | on hold | promised | promise | passed around | handed from | ticket closed | closed the ticket | hotline | queue | waiting time | no answer | answering | picks up | pick up the phone | unanswered | never replied | bot | robot | automated | six times | four times | three times \
        | 没人接 | 没人回 | 没人理 | 没人应 | 没人管 | 没有人 | 回电 | 转来转去 | 承诺 | 结单 | 排队 | 打不通 | 不接 | 不回 | 机器人 | 转接 | 占线 | 踢皮球 | 推来推去 | 答应 | 杳无音信 | 石沉大海"),
    ("complain", "complain* | complaint* | unacceptable | disgrace* | disappoint* | shame* | worst | never again | terrible | horrible | awful | appalling | apolog* | outrag* | let down | scandal* | poor service | bad service | bad experience | fed up | went downhill | gone downhill | loyal | customer for years | lost a customer | on record | own up | responsib* | how dare | not ok | not cool | not acceptable | feel like | principle | formal \
        | 投诉 | 失望 | 太差 | 差劲 | 很差 | 极差 | 道歉 | 再也 | 寒心 | 说法 | 恶劣 | 老顾客 | 老客户 | 老会员 | 心寒 | 离谱 | 过分 | 不像话 | 服务差 | 意见 | 不满 | 体验差 | 避雷 | 拉黑 | 欺负 | 气人 | 无语 | 糟糕 | 书面 | 重视 | 解释"),
    ("no request", "dont want anything | dont need anything | not asking for | not after | thought you should know | you should know | just so you know | just saying | for the record | want it known | wanted you to know | only want it | pass this on | please pass | no need to reply | no reply needed | no action | nothing in return | let you know | for your information | feedback | constructive \
        | 不求 | 只是想说 | 就想说 | 说一声 | 不用回 | 不需要回复 | 反馈一下 | 知道一下 | 不用补偿 | 不要补偿 | 不是钱的事 | 不为别的 | 转告 | 转达 | 让你们知道 | 告诉你们一声 | 提个意见 | 希望贵"),
    ("thanks", "thank | thanks | thankful | thx | ty | cheers | grateful | gratitude | appreciat* | many thanks | bless you | kudos | hats off | chapeau \
        | 谢谢 | 感谢 | 多谢 | 感激 | 致谢 | 谢啦 | 辛苦了 | 有心了"),
    ("praise", "great | excellent | amazing | awesome | fantastic | wonderful | brilliant | perfect* | superb | lovely | best | helpful | friendly | kind | patient | patience | professional | impressed | delighted | happy | pleased | love | loved | loves | enjoy* | beautiful | recommend* | well done | quick | fast | legend | top | smooth* | exceeded | smile | made my day | above and beyond | five star* | 5 star* | 10/10 | keep it up | keep up | fabulous | outstanding | thoughtful | golden | star | stars | saved | never let me down | cosy | delicious | comfortable | worth every \
        | 太好 | 真好 | 很好 | 特别好 | 棒 | 满意 | 喜欢 | 给力 | 靠谱 | 贴心 | 周到 | 耐心 | 专业 | 热情 | 细心 | 惊喜 | 完美 | 超值 | 好评 | 表扬 | 点赞 | 推荐 | 良心 | 用心 | 神速 | 速度快 | 真快 | 好用 | 好看 | 好吃 | 舒服 | 暖心 | 感动 | 厉害 | 赞 | 服气 | 佩服 | 满分 | 回购 | 好喝 | 一如既往 | 省心 | 值得"),
    ("resolved", "sorted | solved | resolved | fixed it | works now | working now | works again | arrived safely | all good | all is well | no problem | worked out | came quickly | no complaints | nothing to complain | is here | has arrived | landed today \
        | 解决了 | 修好了 | 搞定 | 好了 | 已收到 | 处理好 | 没问题 | 没毛病 | 顺利 | 恢复了 | 一直很稳 | 弄好了 | 到账了 | 退到了"),
    ("asks of it", "does it | do they | is it | will it | can it | are they | does this | is this | is the | does the | do the | are the | will the | can the | are these | do these | would it | would this | could it | can you use | can i use | is there a | are there | which | or the | suit | suits | suitable \
        | 吗 | 是不是 | 是否 | 会不会 | 可不可以 | 有没有 | 能不能 | 行不行 | 还是 | 哪个 | 哪款 | 哪种 | 多大 | 多长 | 多重 | 几个 | 适合 | 够不够 | 好不好"),
    ("buying", "buy | buying | purchase | order one | stock | restock* | available | availability | lead time | sample | samples | quote | quotation | interested | thinking of | considering | torn between | choose | choosing | recommend | advise | suggest | looking for | do you sell | do you have | do you offer | range | catalogue | catalog | model | series | version | enquiry | inquiry | compare | alternative | minimum order | bulk | decide \
        | 想买 | 购买 | 有货 | 现货 | 推荐 | 纠结 | 交期 | 样品 | 询价 | 咨询 | 补货 | 上架 | 卖吗 | 选哪 | 型号 | 系列 | 对比 | 起订 | 批量 | 团购 | 定制 | 入手 | 想订 | 想要一 | 请问 | 单卖 | 单买 | 哪里买"),
    ("specs", "material | dimension* | weight | weigh | width | height | capacity | waterproof | compatib* | watt | watts | volts | ingredients | cm | kg | mm | litre* | wood | solid | cotton | wool | leather | power | range | resolution | made of | made in | contain* | washable | battery life | noise level | temperature | certified | organic | handmade | diameter | thickness | support | supports | adjustable \
        | 材质 | 尺寸 | 重量 | 多重 | 宽 | 高度 | 容量 | 防水 | 兼容 | 功率 | 成分 | 厘米 | 公分 | 实木 | 纯棉 | 面料 | 续航 | 分辨率 | 产地 | 支持 | 含 | 规格 | 参数 | 直径 | 厚度 | 噪音大 | 有机 | 认证 | 保质期 | 配料"),
    ("use", "use | used for | wash | clean | store | freeze | safe | how long | how often | difference | mix | together with | temperature | dosage | dose | install it | fit in | go with | works with | work with | last | lasts | keep | recommended | beginner* | tumble \
        | 能用 | 使用 | 能洗 | 机洗 | 清洗 | 保存 | 区别 | 搭配 | 一起用 | 一起吃 | 多久 | 用量 | 保养 | 适用 | 新手 | 能放 | 可以放 | 烘干 | 放冰箱 | 起来 | 安装方便 | 冷冻"),
    ("care", "allerg* | vegan | gluten | nut | nuts | pregnan* | baby | babies | toddler | child | children | kids | medication | medicine | tablets | sensitive | disabled | wheelchair | elderly | diabet* | insulin | hospital | doctor | patient record | prescription | hearing aid \
        | 过敏 | 孕妇 | 宝宝 | 婴儿 | 孩子 | 小孩 | 药 | 敏感 | 轮椅 | 老人 | 糖尿 | 胰岛素 | 医院 | 医生 | 处方 | 助听 | 病人 | 呼吸机"),
    ("cooperation", "cooperat* | partner* | collab* | wholesale | supplier | suppliers | manufacturer | marketing | seo | ranking | backlink* | influencer | sponsor* | invest* | reseller | agency | business relationship | factory | audit | followers | proposal | advertis* | promote | affiliate | franchise \
        | 合作 | 供应商 | 厂家 | 推广 | 代理 | 加盟 | 赞助 | 引流 | 流量 | 排名 | 粉丝 | 达人 | 博主 | 广告 | 招商 | 洽谈 | 业务往来 | 加v | 加微信 | 私信 | 代运营"),
    ("job", "job | jobs | application | applying | cv | resume | apply | vacancy | vacancies | internship | intern | hire | hiring | position | career | part time | part-time | weekend job | salary | shift work | work for you | recruit* \
        | 应聘 | 简历 | 招聘 | 兼职 | 实习 | 岗位 | 打工 | 招人 | 工资 | 入职 | 面试 | 暑假工"),
    ("public", "school | pupils | students | project | interview | journalist | reporter | article | thesis | survey | charity | donat* | film | filming | photo shoot | club | association | radio | newspaper | podcast | lecture | museum | university | raffle | fundrais* | book club | choir | church | community \
        | 学校 | 学生 | 采访 | 记者 | 论文 | 问卷 | 公益 | 捐 | 拍摄 | 社团 | 协会 | 电台 | 报社 | 讲座 | 大学 | 义卖 | 志愿 | 作业 | 调研 | 社区 | 活动场地"),
    ("shop info", "open | opening | hours | parking | park | store | branch | closed | bank holiday | holidays | address of | located | nearest | showroom | toilets | entrance | opening times | tour of | visit | lobby | shop front | dress code \
        | 营业 | 门店 | 几点开 | 几点关 | 停车 | 开门 | 关门 | 国庆 | 春节 | 放假 | 在哪条 | 怎么走 | 最近的店 | 展厅 | 实体店 | 参观 | 店里 | 分店 | 总部"),
    ("no matter", "hello | hi | hey | anyone there | you there | test | testing | wrong number | wrong chat | wrong window | out of office | automatic reply | auto reply | on leave | nevermind | never mind | nvm | ignore | lol | ok | okay | sorry wrong | happy new year | merry christmas | happy holidays | congratulations | good morning | joke | song | weather | are you human | are you a bot | giveaway | winner \
        | 在吗 | 在不在 | 有人吗 | 你好 | 测试 | 打错 | 自动回复 | 自动答复 | 发错窗口 | 发错了 | 没事了 | 哈哈 | 嗯 | 新年快乐 | 春节快乐 | 节日快乐 | 生意兴隆 | 中奖 | 抽奖 | 休假 | 什么歌 | 天气 | 非客户 | 忽略"),
    ("lost property", "lost and found | left my | left behind | forgot my | wallet | purse | umbrella | glasses | scarf | keys | handed in | found a | jacket | backpack \
        | 落在 | 落了 | 忘在 | 捡到 | 失物 | 钱包 | 雨伞 | 皮夹 | 钥匙 | 交上来 | 遗失 | 丢在"),
    ("irony", "slow clap | bravo | nice one | funny how | thanks for nothing | apparently | i guess | well played | genius | magic | hilarious | congrats | what a surprise | surprise | irony | ironic | lol | brilliant idea | nice try | great job | of course | naturally | sure | love how | love the | so much for | shocker | clowns | joke | oh wow | wow \
        | 真行 | 真有你的 | 厉害了 | 呵呵 | 好家伙 | 可以啊 | 讽刺 | 佩服佩服 | 笑死 | 绝了 | 天才 | 魔术 | 逗我 | 搞笑 | 服了你们 | 谢谢你们啊 | 拉满 | 果然 | 号称 | 所谓 | 真会"),
    ("now", "now | immediately | today | tonight | tomorrow | asap | at once | right away | this minute | minutes | within hours | by noon | this afternoon | urgent* | instantly | emergency | before 5 | deadline | last chance \
        | 马上 | 立刻 | 立即 | 现在 | 今天 | 今晚 | 明天 | 明早 | 赶紧 | 分钟 | 小时内 | 紧急 | 急 | 火速 | 中午前 | 截止 | 最后一 | 十万火急 | 下午就"),
    ("occasion", "wedding | birthday | funeral | flight | party | exam | conference | surgery | anniversary | christmas | event | trade fair | exhibition | stand | opening | holiday | move in | interview | presentation | graduation | departure \
        | 婚礼 | 生日 | 葬礼 | 航班 | 聚会 | 考试 | 展会 | 手术 | 纪念日 | 圣诞 | 开业 | 出发 | 搬家 | 面试 | 毕业 | 展台 | 飞机 | 开学"),
    ("standstill", "production | line | lines | assembly | business | customers are waiting | cant work | standstill | all our | whole team | all users | trucks | every | nobody can | all stores | entire | complete outage | out of action | down | losing | operations | shift | plant | warehouse stands | patients \
        | 产线 | 生产 | 停工 | 停产 | 停摆 | 所有 | 全部 | 全厂 | 全店 | 客人都在等 | 没法营业 | 整个 | 中断 | 瘫痪 | 无法上线 | 宕 | 损失 | 工人"),
    ("threat", "otherwise | or else | lawyer | solicitor | legal | court | dispute | chargeback | review | report you | last chance | leave you | switch provider | switch to | another provider | competitor | elsewhere | go public | media | ombudsman | authority | deadline | ultimatum | within 14 days | consequences | if not | hold you liable | off to \
        | 否则 | 不然 | 律师 | 起诉 | 法务 | 法律 | 平台介入 | 投诉到 | 12315 | 消协 | 曝光 | 换别家 | 换一家 | 不合作 | 期限 | 举报 | 监管 | 药监 | 后果 | 差评 | 销号 | 追究"),
    ("again", "again | second time | third time | 2nd time | 3rd time | third | fourth | once more | repeatedly | several times | already | reminder | follow up | chasing | yet another | keep asking | keeps | every time | each time | as before | same problem | last email | previous \
        | 再次 | 又 | 第二次 | 第三次 | 第四次 | 好几次 | 多次 | 三次 | 两次 | 四次 | 几次 | 已经 | 催 | 反复 | 每次 | 屡次 | 第二封 | 第三封 | 上一封 | 还是那 | 老问题"),
    ("idle", "curious | wondering | just asking | no rush | no hurry | out of interest | by the way | asking for a friend | quick question | some day | one day | maybe | perhaps | thinking about | might | would love to know | when you have time \
        | 好奇 | 随便问 | 不急 | 不着急 | 顺便 | 有空 | 问问 | 想知道 | 了解一下 | 以后 | 也许 | 可能会 | 考虑 | 不赶"),
    ("firm", "our company | purchasing | procurement | po | purchase order | supplier number | dear sir* | accounts | our customer | our client | head of | department | ltd | inc | gmbh | llc | b.v | limited | quotation | tender | dear team | kind regards | dear all | yours faithfully \
        | 贵司 | 我司 | 贵公司 | 我公司 | 采购 | 公司 | 对公 | 部门 | 有限公司 | 招标 | 合同 | 对接 | 总监 | 贵店 | 单位 | 您好"),
    ("person said", "caller | customer | client | caller says | customer says | wants to | asks whether | asks for | would like | rang | phoned | called | calls | she | he | mr | mrs | ms \
        | 来电 | 客户 | 顾客 | 客人 | 来电人 | 称 | 反映 | 要求 | 希望 | 询问 | 她 | 他 | 女士 | 先生"),
    ("good mood", "❤ | 😊 | 😍 | 🥰 | 🙌 | 👌 | 🎉 | 👏 | 💯 | 🥹 | 😀 | 👍 | :) | 🙂 | xx | haha | yay | hooray"),
    ("bad mood", "😡 | 🤬 | 😠 | 😞 | 😢 | 😭 | 😤 | 🙃 | 🙄 | 👎 | :( | ugh | argh | grr | smh | ffs | wtf | sigh | seriously | really? | ?? | !!! | 唉 | 哎 | 气死 | 烦 | 呵呵 | 醉了 | 无语 | 崩溃了 | 心累"),
    ("bad turn", "but | however | although | instead | unfortunately | yet | except | sadly | nevertheless | despite | though | nothing | nobody | never | not | cant | cannot | wont | didnt | doesnt | isnt | hasnt | no | without \
        | 但 | 但是 | 不过 | 可是 | 结果 | 却 | 没有 | 不 | 没 | 居然 | 竟然 | 根本 | 凭什么 | 为什么 | 怎么回事 | 偏 | 非要 | 明明 | 白"),
];
